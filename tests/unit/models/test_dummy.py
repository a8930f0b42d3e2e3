from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokgate.errors import InputError
from tokgate.models.catalog import load_model

pytestmark = pytest.mark.unit

# Imported when a test runs, not when it is collected: collecting stays quick and imports no engine.
dummy = partial(import_module, "tokgate.models.dummy")
tokenizers = partial(import_module, "tokenizers")


def silent(_: dict[str, Any]) -> None:
    pass


LETTERS = 27


@settings(max_examples=15, deadline=None)
@given(vocab_size=st.integers(LETTERS, 3000), data=st.data())
def test_each_token_is_printable_distinct_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory, vocab_size: int, data: st.DataObject
) -> None:
    """But for the letters that words are made of, which grow together with the word before them."""
    folder = tmp_path_factory.mktemp("tokenizer")
    dummy().write_tokenizer(vocab_size, folder)
    tokenizer = tokenizers().Tokenizer.from_file(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab()
    assert tokenizer.get_vocab_size() == len(vocabulary) == vocab_size
    assert sorted(vocabulary.values()) == list(range(vocab_size))
    texts = {tokenizer.decode([number]) for number in range(vocab_size)}
    assert len(texts) == vocab_size
    assert all(text.isascii() and text.isprintable() for text in texts)
    ids = data.draw(st.lists(st.integers(LETTERS, vocab_size - 1))) if vocab_size > LETTERS else []
    assert tokenizer.encode(tokenizer.decode(ids)).ids == ids


def test_transformers_loads_the_tokenizer(tiny: Any) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny.checkpoint.path, local_files_only=True)
    assert len(tokenizer) == tiny.source.vocab_size
    ids = list(range(LETTERS, tiny.source.vocab_size))
    assert tokenizer.encode(tokenizer.decode(ids)) == ids
    assert len(tokenizer.decode(ids, skip_special_tokens=True).split()) == len(ids)


@settings(deadline=None)  # the first example imports torch
@given(st.dictionaries(st.text(), st.tuples(st.integers(1, 50), st.integers(1, 50))), st.integers(1, 9000))
def test_shards_hold_every_tensor_once_and_in_order(sizes: dict[str, tuple[int, ...]], shard_bytes: int) -> None:
    shards = dummy().plan_shards(sizes, shard_bytes)
    assert [name for shard in shards for name in shard] == list(sizes)
    for shard in shards:
        total = sum(2 * sizes[name][0] * sizes[name][1] for name in shard)
        assert total <= shard_bytes or len(shard) == 1


def test_a_model_in_shards_is_the_same_model(tmp_path: Path, tiny: Any) -> None:
    from safetensors.torch import load_file

    dummy().write(silent, asdict(tiny.source.shape), tiny.source.seed, str(tmp_path), shard_bytes=300_000)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    files = sorted(set(index["weight_map"].values()))
    assert len(files) > 2
    whole = load_file(tiny.checkpoint.path / "model.safetensors")
    parts = {name: tensor for file in files for name, tensor in load_file(tmp_path / file).items()}
    assert parts.keys() == whole.keys()
    assert all(parts[name].equal(whole[name]) for name in whole)
    assert sum(tensor.nbytes for tensor in whole.values()) == 2 * tiny.source.shape.parameters


def test_another_seed_gives_other_weights(tmp_path: Path, tiny: Any) -> None:
    dummy().write(silent, asdict(tiny.source.shape), 1, str(tmp_path))
    weights = (tmp_path / "model.safetensors").read_bytes()
    assert weights != (tiny.checkpoint.path / "model.safetensors").read_bytes()
    assert len(weights) == (tiny.checkpoint.path / "model.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"model_type": "nonesuch"}, "knows no model_type"), ({"model_type": "qwen3"}, "by formula")],
)
def test_an_architecture_that_is_not_described_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    shape = {**asdict(load_model("tiny").shape), **changes}
    with pytest.raises(InputError, match=said):
        dummy().write(silent, shape, 0, str(tmp_path))
