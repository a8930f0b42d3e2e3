"""Text to tokens and back by tokenizer.json alone, and what ends a text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tokgate.generate.codec import Codec

pytestmark = pytest.mark.unit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({f"t{i}": i for i in range(10)}, unk_token="t0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.add_special_tokens(["<end>"])
    words.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_decode_undoes_encode(folder: Path) -> None:
    codec = Codec(folder)
    assert codec.encode("t3 t1 t9") == [3, 1, 9]
    assert codec.decode([3, 1, 9, 10]) == "t3 t1 t9"
    assert codec.vocab_size == 11


@pytest.mark.parametrize(
    ("files", "stop_ids"),
    [
        ({}, ()),
        ({"config.json": {"model_type": "qwen2"}}, ()),
        ({"config.json": {"eos_token_id": 7}}, (7,)),
        ({"config.json": {"eos_token_id": 7}, "generation_config.json": {"eos_token_id": [8, 9]}}, (8, 9)),
        ({"config.json": {"eos_token_id": 7}, "generation_config.json": {}}, (7,)),
    ],
)
def test_what_ends_a_text(folder: Path, files: dict[str, Any], stop_ids: tuple[int, ...]) -> None:
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    assert Codec(folder).stop_ids == stop_ids


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no tokenizer\.json"):
        Codec(tmp_path)
