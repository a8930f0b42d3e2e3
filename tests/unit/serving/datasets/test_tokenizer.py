from __future__ import annotations

import builtins
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.unit.serving.datasets.tokenizers import Words
from tokgate.errors import InputError
from tokgate.serving.datasets.tokenizer import fitted, load

pytestmark = pytest.mark.unit


class Even(Words):
    """No text has an odd number of tokens."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        ids = super().encode(text, add_special_tokens=add_special_tokens)
        return [*ids, 5] if len(ids) % 2 else ids


def draw(missing: int) -> Any:
    return np.full(missing, 6)


def test_a_text_that_fits_is_left_alone() -> None:
    assert fitted(Words(), [8, 9], 2, draw) == ("w8 w9", [8, 9])


def test_a_text_is_cut_or_lengthened() -> None:
    assert fitted(Words(), [8, 9, 10], 2, draw) == ("w8 w9", [8, 9])
    assert fitted(Words(), [8], 3, draw) == ("w8 w6 w6", [8, 6, 6])


def test_a_length_that_no_text_has_is_told_by_what_comes_back() -> None:
    text, ids = fitted(Even(), [7] * 9, 9, draw)
    assert ids == Even().encode(text)
    assert len(ids) % 2 == 0


@pytest.mark.parametrize("error", [OSError("no files\nand more"), AttributeError("no files"), ValueError("no files")])
def test_a_folder_without_one_says_how_to_do_without(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    loader = SimpleNamespace(from_pretrained=fails)
    utils = SimpleNamespace(logging=SimpleNamespace(set_verbosity_error=lambda: None))
    fake = SimpleNamespace(AutoTokenizer=loader, PreTrainedTokenizerFast=loader, utils=utils)
    monkeypatch.setitem(sys.modules, "transformers", fake)
    monkeypatch.setitem(sys.modules, "transformers.utils", utils)
    with pytest.raises(InputError, match=r"in that folder: no files; .*--tokenizer DIR, or .*--skip-tokenizer-init"):
        load(str(tmp_path))


def test_without_transformers_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name == "transformers":
            raise ImportError("No module named 'transformers'")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="pip install transformers, or send a file's prompts as they are"):
        load("some/model")
