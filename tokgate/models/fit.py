"""Does it fit? Sums of memory and disk from the shape alone: a machine too small is told before, not during.

The factors are calibrated on the 0.5B shape (1.98 GB of FP32 weights; torch 2.13, optimum 2.1, ONNX Runtime
1.31).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokgate.machine.memory import available_bytes
from tokgate.models.shapes import WEIGHT_BYTES, ModelShape, cache_value_bytes
from tokgate.plan import Device

# Peak memory of a build step in multiples of the FP32 weights, above the libraries' own.
_BUILD_FACTORS = {
    "reference": ("transformers in FP32, and the checkpoint it is read from", 1.5),
    "export": ("tracing in torch, and the graph with its weights", 4.25),
    "graph": ("the graph with its weights, read and written", 2.3),
    "check": ("ONNX Runtime in FP32", 1.3),
    "quantize": ("the quantiser's copies of the FP32 graph", 4.45),
    "genai": ("the model builder's checkpoint, graph and rounded weights", 2.6),
    "compress": ("a file of the checkpoint, and its weights rounded", 0.7),
}
# What an engine loads at a precision, and the steps that make it. Engines that quantise while they load, such as
# LLM.int8 and vLLM's bitsandbytes, take the checkpoint.
KINDS = {
    ("onnx", "fp32"): "onnx-fp32",
    ("onnx", "int8"): "onnx-int8",
    **{("transformers", precision): "checkpoint" for precision in ("fp32", "bf16", "fp16", "int8")},
    **{("vllm", precision): "checkpoint" for precision in ("fp32", "bf16", "fp16", "bnb4")},
    ("vllm", "int8"): "vllm-int8",
    ("vllm", "int4"): "vllm-int4",
    **{("genai", precision): f"genai-{precision}" for precision in ("fp32", "int8", "int4")},
}
# Of dummy weights that are too large to be made: the config and the tokenizer alone.
SKELETONS = {("vllm", precision): f"skeleton-{precision}" for precision in ("bf16", "fp16", "int8", "int4")}
# What each kind is made from.
PARENTS: dict[str, str | None] = {
    "checkpoint": None,
    "onnx-fp32": "checkpoint",
    "onnx-int8": "onnx-fp32",
    "vllm-int8": "checkpoint",
    "vllm-int4": "checkpoint",
    **dict.fromkeys(("genai-fp32", "genai-int8", "genai-int4"), "checkpoint"),
    **dict.fromkeys(SKELETONS.values()),
}
_STEPS = {
    "checkpoint": ("reference",),
    "onnx-fp32": ("export", "graph", "check"),
    "onnx-int8": ("quantize",),
    "vllm-int8": ("compress",),
    "vllm-int4": ("compress",),
    "genai-fp32": ("genai", "check"),
    "genai-int8": ("genai", "check"),
    "genai-int4": ("genai", "check"),
}
_GENAI_BLOCK = 32
_LIBRARIES_BYTES = 600_000_000
# An engine's libraries alone: torch and transformers are heavy, ONNX Runtime is not; vLLM is two processes, and on
# the CPU 1 GiB of KV cache.
_ENGINE_BYTES = {"onnx": 150_000_000, "genai": 260_000_000, "transformers": 550_000_000, "vllm": 3_000_000_000}
# Weights are held once, and a little more while they are packed for the kernels.
_WEIGHTS_HELD = 1.05
# transformers computes BF16 logits and softmax in FP32, and its own KV cache is copied at each step.
_CACHE_COPIES = {"onnx": 1, "genai": 1, "transformers": 2, "vllm": 1}


@dataclass(frozen=True)
class Need:
    """A sum of bytes with its parts, each with its name."""

    what: str
    parts: tuple[tuple[str, int], ...]

    @property
    def total_bytes(self) -> int:
        return sum(size for _, size in self.parts)

    def __str__(self) -> str:
        return f"{self.what} needs {gb(self.total_bytes)}: " + " + ".join(
            f"{gb(size)} {name}" for name, size in self.parts if size
        )


def build_bytes(shape: ModelShape, kind: str) -> Need:
    """Peak memory to build an artifact of `kind` and what it is made from: the hungriest step's."""
    steps = [step for made in _lineage(kind) for step in _STEPS.get(made, ())]
    parts: list[tuple[str, int]] = [("libraries", _LIBRARIES_BYTES)]
    if steps:
        name, factor = max((_BUILD_FACTORS[step] for step in steps), key=lambda entry: entry[1])
        parts.insert(0, (f"{name} ({factor} x the FP32 weights)", int(factor * shape.weight_bytes("fp32"))))
    return Need(f"building {kind}", tuple(parts))


def disk_bytes(shape: ModelShape, kind: str) -> Need:
    """Disk to build one artifact of `kind`; the exporter's own graph lies there too until ours is written."""
    if kind in SKELETONS.values():
        return Need(f"building {kind}", (("config and tokenizer", 40 * shape.vocab_size),))
    weights = _kind_bytes(shape, kind)
    parts = [("weights", int(weights * 1.05)), ("reference logits", _reference_bytes(shape))]
    if kind == "onnx-fp32":
        parts.append(("the exporter's graph, for a while", int(weights * 1.6)))
    return Need(f"building {kind}", tuple(parts))


def measure_bytes(
    shape: ModelShape, engine: str, precision: str, batch: int, tokens: int, kv_cache_dtype: Any = None
) -> Need:
    """Peak memory to measure `batch` sequences of `tokens` tokens each (prompt and output) on the CPU.

    `kv_cache_dtype`: as `cache_value_bytes` takes it.
    """
    width = cache_value_bytes(engine, precision, kv_cache_dtype)
    cache = shape.kv_bytes(batch, tokens, width) * _CACHE_COPIES[engine]
    # Prefill holds the widest layer's inputs and outputs, and one row of attention scores a head.
    widths = 3 * shape.intermediate_size + 4 * shape.hidden_size + shape.num_attention_heads * tokens
    return Need(
        f"measuring {engine} {precision}, batch {batch} of {tokens} tokens,",
        (
            ("weights", int(_WEIGHTS_HELD * _weight_bytes(shape, engine, precision))),
            ("the embedding once more", _second_embedding(shape, engine, precision)),
            ("KV cache", cache),
            ("activations", 4 * batch * tokens * widths),
            ("logits", 2 * 4 * batch * shape.vocab_size),
            ("libraries", _ENGINE_BYTES[engine]),
        ),
    )


def exceeds(need: Need, available: int) -> str | None:
    """Why `need` is more than the `available` bytes, with the sum; None if it is not."""
    if need.total_bytes <= available:
        return None
    return f"{need}; available: {gb(available)}"


def does_not_fit(
    shape: ModelShape,
    engine: str,
    precision: str,
    *,
    batch: int,
    tokens: int,
    builds: str | None,
    device: Device = "cpu",
    available: int | None = None,
    kv_cache_dtype: Any = None,
    offloaded_bytes: int = 0,
) -> str | None:
    """Why a row cannot be measured, or its model not built, in the host memory available now; None if it can.

    `builds`: the kind that is to be built, None where it is there. On a GPU the host holds the libraries, and
    `offloaded_bytes` of weights; whether the GPU holds the rest says gpu_fit.py. `kv_cache_dtype`: as vLLM is told it.
    """
    host = (("host memory of the engine", _ENGINE_BYTES[engine]), ("weights kept off the GPU", offloaded_bytes))
    on_gpu = Need(f"measuring {engine} {precision} on a GPU", host)
    needs = [on_gpu if device == "gpu" else measure_bytes(shape, engine, precision, batch, tokens, kv_cache_dtype)]
    if builds is not None:
        needs.append(build_bytes(shape, builds))
    largest = max(needs, key=lambda need: need.total_bytes)
    return exceeds(largest, available_bytes() if available is None else available)


def gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 50_000_000 else f"{size_bytes / 1e6:.0f} MB"


def _lineage(kind: str) -> list[str]:
    """The kind and what it is made from, the last one first."""
    parent = PARENTS[kind]
    return [kind, *(_lineage(parent) if parent else [])]


def _kind_bytes(shape: ModelShape, kind: str) -> int:
    engine, _, precision = kind.partition("-")
    if engine == "vllm":
        return shape.quantised_bytes(precision)
    if engine == "genai":
        whole = precision == "fp32"
        return _weight_bytes(shape, engine, precision) + (0 if whole else _second_embedding(shape, engine, precision))
    return shape.weight_bytes(precision or "bf16")


def _weight_bytes(shape: ModelShape, engine: str, precision: str) -> int:
    """GenAI's rounded weights have an FP32 scale for each block."""
    scales = 4 * shape.parameters // _GENAI_BLOCK if engine == "genai" and precision != "fp32" else 0
    return shape.weight_bytes(precision) + scales


def _second_embedding(shape: ModelShape, engine: str, precision: str) -> int:
    """ONNX Runtime looks tokens up in the one and multiplies by the other, where both are the same weights.

    GenAI's builder rounds what tokens are looked up in only to 4 bits, and only where it is tied.
    """
    tied = shape.tie_word_embeddings
    embedding = shape.vocab_size * shape.hidden_size
    if engine == "onnx":
        return int(embedding * WEIGHT_BYTES[precision]) if tied else 0
    if engine == "genai":
        return 4 * embedding if {"fp32": tied, "int8": True, "int4": not tied}[precision] else 0
    return 0


def _reference_bytes(shape: ModelShape) -> int:
    return 4 * 12 * shape.vocab_size * 4
