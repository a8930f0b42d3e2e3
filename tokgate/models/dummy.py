"""Dummy weights: the same architecture and sizes, seeded random values, in BF16 safetensors as the hub's are.

A tensor at a time and a shard at a time, so that a 7B model needs no 28 GB to be made. Biases and norms are
random too: an exporter that dropped or swapped them would otherwise go unnoticed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tokgate.errors import InputError
from tokgate.models import compressed
from tokgate.models.shapes import ModelShape

SHARD_BYTES = 2_000_000_000
# As transformers initialises (initializer_range); norms lie about one.
_SPREAD = 0.02
# As byte-level vocabularies write a space.
_SPACE = "\u0120"


def write(
    emit: Callable[[dict[str, Any]], None],
    shape: dict[str, Any],
    seed: int,
    out: str,
    shard_bytes: int = SHARD_BYTES,
) -> dict[str, Any]:
    """A step of a build: writes config.json, *.safetensors and a tokenizer into the folder `out`."""
    folder = Path(out)
    model = ModelShape(**shape)
    sizes = {name: tuple(tensor.shape) for name, tensor in _empty_model(model, folder).items()}
    emit({"event": "step", "name": "dummy", "detail": f"{model.parameters / 1e9:.2f} billion random weights"})
    shards = plan_shards(sizes, shard_bytes)
    index = {}
    for number, names in enumerate(shards, 1):
        file = "model.safetensors" if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file({name: _values(name, sizes[name], seed) for name in names}, folder / file, {"format": "pt"})
        index.update(dict.fromkeys(names, file))
    if len(shards) > 1:
        total = {"total_size": 2 * model.parameters}
        text = json.dumps({"metadata": total, "weight_map": index}, indent=1)
        (folder / "model.safetensors.index.json").write_text(text)
    emit({"event": "step", "name": "tokenizer", "detail": f"{model.vocab_size} printable words"})
    write_tokenizer(model.vocab_size, folder)
    return {}


def write_skeleton(
    emit: Callable[[dict[str, Any]], None], shape: dict[str, Any], out: str, precision: str
) -> dict[str, Any]:
    """A step of a build: config.json and a tokenizer alone, for an engine that fills the weights itself."""
    folder = Path(out)
    model = ModelShape(**shape)
    emit({"event": "step", "name": "skeleton", "detail": f"{model.parameters / 1e9:.2f} billion weights, none made"})
    _empty_model(model, folder)
    if precision in compressed.PRECISIONS:
        compressed.write_config(folder, folder, precision)
    write_tokenizer(model.vocab_size, folder)
    return {}


def plan_shards(sizes: dict[str, tuple[int, ...]], shard_bytes: int) -> list[list[str]]:
    """Tensor names by file, in order; a file has at most `shard_bytes` unless one BF16 tensor is larger."""
    shards: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        tensor_bytes = 2 * torch.Size(size).numel()
        if shards[-1] and filled + tensor_bytes > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += tensor_bytes
    return shards


def write_tokenizer(vocab_size: int, folder: Path) -> None:
    """A tokenizer of exactly `vocab_size` tokens of printable ASCII: a space and a word of letters each.

    But for the first 27, the letters and the space themselves, decode and encode undo each other. Under a usual byte-level tokenizer a random model's output is
    fragments of bytes, which a streaming server holds back until a character is whole; here each token is shown as it
    comes. It is a byte-level BPE all the same: transformers 5 loads a Qwen2 model's tokenizer as one, whatever it was
    saved as. The words are all of one letter, of two, and so on, so that each begins with one that is there too: a
    merge a word makes it.
    """
    alphabet = [*string.ascii_lowercase, _SPACE]
    words = list(itertools.islice(_words(), vocab_size - len(alphabet)))
    vocabulary = {token: number for number, token in enumerate([*alphabet, *words])}
    merges = [(word[:-1], word[-1]) for word in words]
    bpe = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, clean_up_tokenization_spaces=False, model_max_length=1 << 30
    )
    tokenizer.save_pretrained(folder)


def _words() -> Iterator[str]:
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield "".join([_SPACE, *letters])


def _empty_model(shape: ModelShape, folder: Path) -> dict[str, torch.Tensor]:
    """Names and sizes of the checkpoint's tensors, as transformers makes them; writes config.json."""
    fields = shape.config()
    model_type = fields.pop("model_type")
    try:
        config = transformers.AutoConfig.for_model(model_type, **fields)
    except ValueError:
        raise InputError(f"transformers {transformers.__version__} knows no model_type {model_type!r}") from None
    config.torch_dtype = torch.bfloat16
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    tensors: dict[str, torch.Tensor] = dict(model.named_parameters())  # tied weights once
    count = sum(tensor.numel() for tensor in tensors.values())
    if count != shape.parameters:
        raise InputError(
            f"{model_type} has {count} parameters in transformers, {shape.parameters} by formula: shapes.py "
            "does not describe this architecture"
        )
    return tensors


def _values(name: str, size: tuple[int, ...], seed: int) -> torch.Tensor:
    """Seeded by the tensor's name too, so that no tensor depends on the order of the others."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little"))
    values = torch.randn(size, generator=generator).mul_(_SPREAD)
    if name.endswith("norm.weight"):
        values.add_(1.0)
    return values.to(torch.bfloat16)
