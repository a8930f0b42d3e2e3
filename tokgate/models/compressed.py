"""Weights in INT8 or INT4 as vLLM reads them: compressed-tensors, rounded to nearest from the checkpoint.

W8A8: weights per output channel, activations per token at run time. W4A16: weights in groups of 128 input
channels, activations as they are. Embeddings and the LM head keep their width. The layout is that of
https://github.com/vllm-project/compressed-tensors (formats int-quantized and pack-quantized).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tokgate.errors import InputError
from tokgate.models.cache import MANIFEST
from tokgate.models.hub import ALLOWED_FILES

PRECISIONS = ("int8", "int4")
GROUP_SIZE = 128
_PROJECTIONS = tuple(f"{name}_proj.weight" for name in ("q", "k", "v", "o", "gate", "up", "down"))

Tensors = dict[str, torch.Tensor]


def compress(emit: Callable[[dict[str, Any]], None], checkpoint: str, out: str, precision: str) -> dict[str, Any]:
    """A step of a build: writes the weights of `checkpoint` at "int8" or "int4" into the folder `out`."""
    source, folder = Path(checkpoint), Path(out)
    shards = sorted(source.glob("*.safetensors"))
    emit({"event": "step", "name": "compress", "detail": f"{precision}, {len(shards)} files of weights"})
    index: dict[str, str] = {}
    for shard in shards:
        tensors: Tensors = {}
        for name, tensor in _tensors(shard):
            tensors |= _compressed(name, tensor, precision) if name.endswith(_PROJECTIONS) else {name: tensor}
        save_file(tensors, folder / shard.name, {"format": "pt"})
        index.update(dict.fromkeys(tensors, shard.name))
    if len(shards) > 1:
        text = json.dumps({"metadata": {}, "weight_map": index}, indent=1)
        (folder / "model.safetensors.index.json").write_text(text)
    copy_all_but_weights(source, folder)
    write_config(source, folder, precision)
    return {}


def write_config(source: Path, folder: Path, precision: str) -> None:
    """The checkpoint's config.json, saying how the weights are quantised."""
    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = quantization_config(precision)
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def copy_all_but_weights(source: Path, folder: Path) -> None:
    """Tokenizer and generation config; the links of a snapshot become files."""
    for file in (file for pattern in ALLOWED_FILES for file in source.glob(pattern)):
        if file.name not in ("config.json", MANIFEST) and "safetensors" not in file.name:
            shutil.copy(file, folder / file.name)


def quantization_config(precision: str) -> dict[str, Any]:
    """The `quantization_config` of a config.json. Raises KeyError for another precision than int8 or int4."""
    common = {"type": "int", "symmetric": True, "dynamic": False, "observer": "minmax"}
    weights, activations, layout = {
        "int8": (
            {**common, "num_bits": 8, "strategy": "channel"},
            {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True},
            "int-quantized",
        ),
        "int4": ({**common, "num_bits": 4, "strategy": "group", "group_size": GROUP_SIZE}, None, "pack-quantized"),
    }[precision]
    return {
        "quant_method": "compressed-tensors",
        "format": layout,
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": weights,
                "input_activations": activations,
                "output_activations": None,
            }
        },
    }


def _tensors(shard: Path) -> Iterator[tuple[str, torch.Tensor]]:
    with safe_open(shard, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118  # not a mapping
            yield name, file.get_tensor(name)


def _compressed(name: str, weight: torch.Tensor, precision: str) -> Tensors:
    prefix = name.removesuffix("weight")
    if precision == "int8":
        values, scale = quantise(weight.float(), bits=8)
        return {f"{prefix}weight": values, f"{prefix}weight_scale": scale.to(weight.dtype)}
    rows, columns = weight.shape
    if columns % GROUP_SIZE:
        raise InputError(f"{name} has {columns} input channels; INT4 needs a multiple of {GROUP_SIZE}")
    values, scale = quantise(weight.float().reshape(rows * columns // GROUP_SIZE, GROUP_SIZE), bits=4)
    return {
        f"{prefix}weight_packed": pack_int4(values.reshape(rows, columns)),
        f"{prefix}weight_scale": scale.reshape(rows, columns // GROUP_SIZE).to(weight.dtype),
        f"{prefix}weight_shape": torch.tensor([rows, columns], dtype=torch.int64),
    }


def quantise(weight: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Symmetric rounding to nearest of each row: int8 values [n, m] and their scales [n, 1] in float32."""
    largest = 2 ** (bits - 1) - 1
    scale = (weight.abs().amax(dim=1, keepdim=True) / largest).clamp_min(torch.finfo(torch.float32).tiny)
    values = (weight / scale).round().clamp(-largest - 1, largest)
    return values.to(torch.int8), scale


def pack_int4(values: torch.Tensor) -> torch.Tensor:
    """Eight 4-bit values to an int32, the first in the lowest bits, each stored plus 8: [n, m] -> [n, m / 8]."""
    unsigned = (values.to(torch.int32) + 8).reshape(values.shape[0], -1, 8)
    shifts = torch.arange(0, 32, 4, dtype=torch.int32)
    packed: torch.Tensor = (unsigned.to(torch.int64) << shifts).sum(dim=-1)
    return torch.where(packed >= 2**31, packed - 2**32, packed).to(torch.int32)
