"""Does it run on these GPUs? By their memory and their compute capability, from the shape alone.

A machine's stable facts (see machine/gpu.py) are all that is asked of it: nothing is allocated to find out.

Of what an engine is told counts what `GpuWork` names. As if it were not told: a quantisation of weights while they are
loaded other than bitsandbytes, offload by groups of layers (`offload_group_size`), a KV cache of a given size
(`kv_cache_memory_bytes`), and KV cache offload.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tokgate.machine.gpustack import no_vllm
from tokgate.models.fit import KINDS, Need, exceeds
from tokgate.models.shapes import WEIGHT_BYTES, ModelShape, cache_value_bytes

# vLLM's gpu_memory_utilization unless it is told otherwise; what is above it is the CUDA context's and others'.
USABLE_SHARE = 0.9
# vLLM offline on GPUs below 70 GB: tokens of one step, and sequences at once, that it must have room for.
_STEP_TOKENS, _STEP_SEQUENCES = 8192, 256
# On each GPU: captured CUDA graphs, and workspaces of the libraries, of which FlashInfer's alone has 394 MiB
# (VLLM_FLASHINFER_WORKSPACE_BUFFER_SIZE).
_GRAPHS_BYTES, _WORKSPACES_BYTES = 250_000_000, 450_000_000
# From what compute capability on an engine has kernels. vLLM: its refusal of BF16; the others want no more than it does
# itself, see `no_vllm` (get_min_capability of its quantisation schemes, 0.19 to 0.26). T4 is 7.5, V100 7.0, A10 8.6,
# H200 9.0.
_MIN_CAPABILITY = {
    ("vllm", "bf16"): "8.0",
    ("transformers", "bf16"): "8.0",
    ("transformers", "int8"): "7.5",
}


@dataclass(frozen=True)
class GpuWork:
    """One group's largest row: `batch` sequences of `tokens` tokens, in an engine spread over `gpus` GPUs.

    `context`: the longest sequence that the engine is set up for; `kv_cache_dtype`: as it is told, see
    `cache_value_bytes`; `usable_share`: of each GPU's memory. vLLM's alone: `step_tokens` and `step_sequences`, at
    most in one step; `is_eager`: without CUDA graphs; `quantization`: "bitsandbytes" makes 4 bits of any weights;
    `offload_gib`: GiB of each GPU's weights that stay in host memory (cpu_offload_gb).
    """

    shape: ModelShape
    engine: str
    precision: str
    batch: int
    tokens: int
    context: int
    gpus: int = 1
    kv_cache_dtype: Any = "auto"
    usable_share: float = USABLE_SHARE
    step_tokens: int = _STEP_TOKENS
    step_sequences: int = _STEP_SEQUENCES
    is_eager: bool = False
    quantization: Any = None
    offload_gib: float = 0.0

    @property
    def stored(self) -> str:
        """The precision that the weights are kept at."""
        return "bnb4" if self.quantization == "bitsandbytes" else self.precision

    @property
    def offloaded_bytes(self) -> int:
        """Weights of all GPUs that stay in host memory: of the layers alone (vLLM's make_layers)."""
        return int(min(self.gpus * self.offload_gib * 2**30, self.shape.layers_bytes(self.stored)))

    @property
    def host_bytes(self) -> int:
        """Host memory that the offloaded weights take.

        vLLM pins each matrix by itself, and torch pins powers of two: of Mistral-7B in FP16 1.15 times as much, of
        Qwen2.5-7B 1.87 times (vLLM's issue 56410). How many GPUs share a matrix is a power of two as well.
        """
        plain = [int(values * WEIGHT_BYTES[self.stored]) for values in self.shape.layer_matrices]
        return self.offloaded_bytes * sum(1 << (size - 1).bit_length() for size in plain) // sum(plain)

    def told(self, settings: Mapping[str, Any]) -> GpuWork:
        """The same in an engine of these settings, as vLLM names them; what they do not say stays."""
        share, offload_gib = settings.get("gpu_memory_utilization"), settings.get("cpu_offload_gb")
        return replace(
            self,
            context=_context(settings.get("max_model_len"), self),
            kv_cache_dtype=settings.get("kv_cache_dtype", self.kv_cache_dtype),
            usable_share=float(share) if isinstance(share, (int, float)) else self.usable_share,
            step_tokens=_count(settings.get("max_num_batched_tokens"), self.step_tokens),
            step_sequences=_count(settings.get("max_num_seqs"), self.step_sequences),
            is_eager=settings.get("enforce_eager", self.is_eager) is True,
            quantization=settings.get("quantization", self.quantization),
            offload_gib=max(0.0, float(offload_gib)) if isinstance(offload_gib, (int, float)) else self.offload_gib,
        )


def cannot_run(work: GpuWork, machine: Mapping[str, Any]) -> str | None:
    """Why a machine of these stable facts cannot do the work; None if it can, or does not say what it has.

    Where the engine does not run at all, what does not fit is told too: limits are all that is asked of such machines.
    """
    refusal = _runs_nowhere(work, machine)
    if refusal is None:
        return _lacks(work, machine) or _does_not_fit(work, machine, "would fit", _can_run)
    too_large = _does_not_fit(work, machine, "by memory alone would fit", _has_room)
    return f"{refusal}; nor does it fit: {too_large}" if too_large else refusal


def gpu_bytes(work: GpuWork) -> Need:
    """Memory of all its GPUs together."""
    shape, count = work.shape, work.gpus
    cache_width = cache_value_bytes(work.engine, work.precision, work.kv_cache_dtype)
    if work.engine == "vllm":
        # One sequence has to fit; what the cache does not hold of a batch waits for its turn.
        cache = shape.kv_bytes(1, _kept_tokens(work), cache_width)
        rows, tokens, width = work.step_sequences, work.step_tokens, 2
    else:
        width = 4 if work.precision == "fp32" else 2
        # Each step of transformers copies the cache.
        cache = 2 * shape.kv_bytes(work.batch, work.tokens, cache_width)
        rows, tokens = work.batch, work.batch * work.tokens
    widths = 3 * shape.intermediate_size + 4 * shape.hidden_size
    return Need(
        f"measuring {work.engine} {work.precision} on {_gpus(count)}",
        (
            ("weights", shape.quantised_bytes(work.stored) - work.offloaded_bytes),
            ("KV cache", cache),
            ("activations", width * tokens * widths),
            ("logits", 2 * 4 * rows * shape.vocab_size),
            ("CUDA graphs", 0 if work.is_eager else count * _GRAPHS_BYTES),
            ("workspaces", count * _WORKSPACES_BYTES),
        ),
    )


def _context(max_model_len: Any, work: GpuWork) -> int:
    """-1 and "auto" are what fits: at least the row has to."""
    if max_model_len is None:
        return work.context
    return max_model_len if isinstance(max_model_len, int) and max_model_len > 0 else work.tokens


def _count(told: Any, otherwise: int) -> int:
    """What is no count, vLLM refuses itself."""
    return told if isinstance(told, int) and told > 0 else otherwise


def _kept_tokens(work: GpuWork) -> int:
    """Of the longest sequence: all, or those of its window and of one step (vLLM's SlidingWindowSpec)."""
    window = work.shape.sliding_window
    return work.context if window is None else min(work.context, window + work.step_tokens)


def _runs_nowhere(work: GpuWork, machine: Mapping[str, Any]) -> str | None:
    """Of an engine that has nothing for such GPUs, at whatever precision and on however many of them."""
    capability = _capability(machine)
    return no_vllm(capability) if work.engine == "vllm" and capability is not None else None


def _lacks(work: GpuWork, machine: Mapping[str, Any]) -> str | None:
    capability, least = _capability(machine), _MIN_CAPABILITY.get((work.engine, work.precision))
    if least is None or capability is None or capability >= _version(least):
        return None
    seen = machine["compute_capability"]
    return f"{work.engine} {work.precision} requires compute capability {least}; this GPU has {seen}"


def _capability(machine: Mapping[str, Any]) -> tuple[int, ...] | None:
    """None where the machine does not say it."""
    said = str(machine.get("compute_capability"))
    return _version(said) if re.fullmatch(r"\d+\.\d+", said) else None


def _does_not_fit(
    work: GpuWork, machine: Mapping[str, Any], called: str, is_offered: Callable[[GpuWork, Mapping[str, Any]], bool]
) -> str | None:
    """The sum, and `called` what of its smaller forms `is_offered`."""
    refusal = _too_large(work, machine)
    others = ", ".join(name for name, other in _smaller(work) if is_offered(other, machine))
    return f"{refusal}; {called}: {others}" if refusal and others else refusal


def _too_large(work: GpuWork, machine: Mapping[str, Any]) -> str | None:
    memory_mib = machine.get("gpu_memory_mib")
    if not isinstance(memory_mib, int):
        return None
    refusal = exceeds(gpu_bytes(work), int(work.usable_share * work.gpus * memory_mib * 2**20))
    return refusal and f"{refusal} ({work.usable_share:.0%} of {_gpus(work.gpus)} of {memory_mib} MiB)"


def _can_run(work: GpuWork, machine: Mapping[str, Any]) -> bool:
    return _lacks(work, machine) is None and _has_room(work, machine)


def _has_room(work: GpuWork, machine: Mapping[str, Any]) -> bool:
    return _too_large(work, machine) is None


def _smaller(work: GpuWork) -> Iterator[tuple[str, GpuWork]]:
    """The same at fewer bits, and on more GPUs."""
    for precision in ("int8", "int4"):
        if (work.engine, precision) in KINDS and WEIGHT_BYTES[precision] < WEIGHT_BYTES[work.stored]:
            yield precision.upper(), replace(work, precision=precision, quantization=None)
    if work.engine == "vllm":
        for gpus in (2, 4, 8):
            if gpus > work.gpus and work.shape.num_attention_heads % gpus == 0:
                yield f"TP={gpus}", replace(work, gpus=gpus)


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"
