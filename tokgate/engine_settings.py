"""What an engine is told beside the group's own settings: what follows from precision, device and weights."""

from __future__ import annotations

from typing import Any

from tokgate.models.source import ModelSource
from tokgate.scenario import Group

# What vLLM computes in; integer weights are multiplied with FP16 activations, as a T4 has no BF16.
_VLLM_DTYPES = {
    "fp32": "float32",
    "bf16": "bfloat16",
    "fp16": "float16",
    "int8": "float16",
    "int4": "float16",
    "bnb4": "float16",
}
# On CPUs with BF16: where there is AMX, vLLM 0.32 has no kernel that multiplies integer weights with FP16 activations,
# and the engine dies of it ("scale_C: scalar path not implemented").
_VLLM_CPU_DTYPES = {**_VLLM_DTYPES, "int8": "bfloat16", "int4": "bfloat16"}

# Of engines that know them by name: vLLM's are what its version takes, and asked of it alone.
KNOWN = {
    "onnx": frozenset({"allow_spinning", "environment", "threads"}),
    "genai": frozenset({"allow_spinning", "environment"}),
    "transformers": frozenset({"device", "dtype", "environment"}),
}


def engine_settings(group: Group, source: ModelSource) -> dict[str, Any]:
    """The settings of a plan; the group's own go before what follows from the rest."""
    return {**_FOLLOWING[group.engine](group, source), **group.settings}


def loads_skeleton(group: Group, source: ModelSource) -> bool:
    """Whether the engine is to fill the weights itself: where real ones are there, they are loaded."""
    return group.skeleton and not source.real_weights


def _plain(group: Group, source: ModelSource) -> dict[str, Any]:
    """Of ONNX Runtime and its GenAI: the files say it all."""
    return {}


def _transformers(group: Group, source: ModelSource) -> dict[str, Any]:
    return {"dtype": group.precision, **({"device": "cuda"} if group.device == "gpu" else {})}


def _vllm(group: Group, source: ModelSource) -> dict[str, Any]:
    # The whole context of a 7B model would take the memory that its batches need.
    dtypes = _VLLM_CPU_DTYPES if group.device == "cpu" else _VLLM_DTYPES
    settings: dict[str, Any] = {"dtype": dtypes[group.precision], "max_model_len": source.max_context}
    if group.precision == "bnb4":
        settings["quantization"] = "bitsandbytes"
    if loads_skeleton(group, source):
        settings["load_format"] = "dummy"
    return settings


def _serve(group: Group, source: ModelSource) -> dict[str, Any]:
    """A server as its users start it: with the context that the model has."""
    settings = _vllm(group, source)
    del settings["max_model_len"]
    return settings


_FOLLOWING = {"onnx": _plain, "genai": _plain, "transformers": _transformers, "vllm": _vllm, "serve": _serve}
