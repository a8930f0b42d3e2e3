from __future__ import annotations

import builtins
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.unit.models.hub_layout import REVISION, lay_out
from tests.unit.serving.datasets.tokenizers import Words
from tokgate.errors import InputError
from tokgate.models import hub
from tokgate.serving.datasets.tokenizer import fitted, load

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[4]


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

    fake_transformers(monkeypatch, fails)
    with pytest.raises(InputError, match=r"in that folder: no files; .*--tokenizer DIR or .*--skip-tokenizer-init"):
        load(str(tmp_path))


def fake_transformers(monkeypatch: pytest.MonkeyPatch, from_pretrained: Any) -> None:
    loader = SimpleNamespace(from_pretrained=from_pretrained)
    utils = SimpleNamespace(logging=SimpleNamespace(set_verbosity_error=lambda: None))
    fake = SimpleNamespace(AutoTokenizer=loader, PreTrainedTokenizerFast=loader, utils=utils)
    monkeypatch.setitem(sys.modules, "transformers", fake)
    monkeypatch.setitem(sys.modules, "transformers.utils", utils)


@pytest.mark.parametrize(("hub_is_there", "local"), [(True, False), (False, True)])
def test_a_short_name_is_asked_of_a_hub_that_answers_and_else_of_its_cache(
    hub_is_there: bool, local: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers asks a hub that does not answer 12 times, for most of a minute."""
    asked: dict[str, Any] = {}

    def from_pretrained(name: str, **options: Any) -> Words:
        asked.update(options, name=name)
        return Words()

    fake_transformers(monkeypatch, from_pretrained)
    monkeypatch.setattr(hub, "is_there", lambda name, timeout_s: hub_is_there)
    assert isinstance(load("gpt2"), Words)
    assert (asked["name"], asked["local_files_only"]) == ("gpt2", local)


def test_the_hub_is_not_asked_for_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_transformers(monkeypatch, lambda name, **options: options["local_files_only"])
    monkeypatch.setattr(hub, "is_there", lambda *_: pytest.fail("asked"))
    assert load(str(tmp_path)) is True


@pytest.fixture
def without_a_hub(tmp_path: Path) -> dict[str, str]:
    """An environment whose hub refuses connections, and whose cache is `tmp_path`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = f"http://127.0.0.1:{listener.getsockname()[1]}"
    about = {"HF_ENDPOINT": gone, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0"}
    return {**os.environ, **about, "NO_PROXY": "127.0.0.1", "USE_TORCH": "0", "PYTHONPATH": str(ROOT)}


def loaded_by_itself(name: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """In a process of its own: transformers reads its environment once."""
    code = "import sys\nfrom tokgate.serving.datasets.tokenizer import load\nprint(load(sys.argv[1]).encode('b a'))"
    command = [sys.executable, "-c", code, name]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_a_short_name_in_the_hubs_cache_is_had_without_a_hub(tmp_path: Path, without_a_hub: dict[str, str]) -> None:
    pytest.importorskip("transformers", reason="tokenizers are of transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    config = b'{"tokenizer_class": "PreTrainedTokenizerFast"}'
    files = {"tokenizer.json": words.to_str().encode(), "tokenizer_config.json": config, "config.json": b"{}"}
    lay_out(tmp_path, "gpt2", REVISION, files)
    (tmp_path / "models--gpt2" / "refs").mkdir()
    (tmp_path / "models--gpt2" / "refs" / "main").write_text(REVISION)
    ended = loaded_by_itself("gpt2", without_a_hub)
    assert (ended.returncode, ended.stdout) == (0, "[1, 0]\n"), ended.stderr


def test_a_name_that_is_nowhere_is_refused_after_one_try(without_a_hub: dict[str, str]) -> None:
    pytest.importorskip("transformers", reason="tokenizers are of transformers")
    said = loaded_by_itself("stub", without_a_hub).stderr
    assert "Retry" not in said
    assert "tokenizer 'stub': no such folder, and nothing from the hub" in said
    assert "name one with --tokenizer DIR or --tokenizer ORG/NAME" in said


def test_without_transformers_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name == "transformers":
            raise ImportError("No module named 'transformers'")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="pip install transformers, or send a file's prompts as they are"):
        load("some/model")
