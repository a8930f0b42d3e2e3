"""What a row must do at least, and how near to the machine's limits it came. Pure.

The roofline model (Williams, Waterman and Patterson 2009, CACM 52(4)): a step takes at least the time to read its
bytes and at least the time to do its arithmetic, whichever is longer. What a decoder's steps read and compute is
counted as in Pope et al. 2022 (arXiv 2211.05102, section 2): all weights and the KV cache once a step; two
operations for each weight that is multiplied and each token, and the products of attention.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from tokgate.models.shapes import WEIGHT_BYTES, ModelShape, cache_value_bytes

Roof = Literal["memory", "compute"]
Bound = Literal["memory", "compute", "overhead"]

# Engines come within 1.0 to 1.8 times their floor where memory or arithmetic limits them (measured: 7B on a GPU and
# 0.5B in FP32 and INT8 on CPUs, ONNX Runtime and vLLM). Three times is something else: launches, threads that wait.
_OVERHEAD_FACTOR = 3.0

# ONNX Runtime's dynamic INT8 and GenAI's builder take the output projection along; others leave it at 16 bits.
_QUANTISES_HEAD = ("onnx", "genai")
_TIMED_BY_REQUEST = ("vllm", "serve")


@dataclass(frozen=True)
class Step:
    """Bytes that one step must read, and floating-point operations that it must do."""

    read_bytes: float
    flop: float


@dataclass(frozen=True)
class Work:
    """One row's prefill, and its mean decode step; None where a sequence has one token, and so no decode.

    `prefill` is None where the engine tells the time to the first token of each request by itself: of several, that
    time is not how long the prefill of them all took.
    """

    prefill: Step | None
    decode: Step | None

    def figures(self) -> dict[str, float]:
        """As a session keeps them: prefill_bytes, prefill_flop, decode_bytes, decode_flop."""
        steps = {"prefill": self.prefill, "decode": self.decode}
        found: dict[str, float] = {}
        for name, step in steps.items():
            if step is not None:
                found |= {f"{name}_bytes": step.read_bytes, f"{name}_flop": step.flop}
        return found


@dataclass(frozen=True)
class Peaks:
    """What the machine reached when nothing else was asked of it, all its usable cores together.

    `flop_s` is of one precision (FP32 on CPUs): for another one it is a yardstick and no limit.
    """

    read_bytes_s: float
    flop_s: float


def work_of(
    shape: ModelShape,
    engine: str,
    precision: str,
    batch: int,
    prompt_len: int,
    output_len: int,
    kv_cache_dtype: Any = None,
) -> Work:
    """The work of `batch` sequences. Mean over the decode steps: step i of 1 to n - 1 attends to prompt + i tokens.

    Tied embeddings count once, as the output projection; looking tokens up reads next to nothing. Prefill
    projects the last position only (tokgate's graphs, vLLM and transformers' generate do), and attends
    causally: its operations are those of half the square. `kv_cache_dtype`: as `cache_value_bytes` takes it.
    """
    head = shape.vocab_size * shape.hidden_size
    body = shape.parameters_read_per_token - head
    weight_bytes = body * WEIGHT_BYTES[precision] + head * _head_bytes(engine, precision)
    attention = 4 * shape.num_hidden_layers * shape.num_attention_heads * shape.head_dim
    causal_pairs = batch * prompt_len * (prompt_len + 1) / 2
    prefill = Step(weight_bytes, 2 * body * batch * prompt_len + 2 * head * batch + attention * causal_pairs)
    timed = prefill if batch == 1 or engine not in _TIMED_BY_REQUEST else None
    if output_len == 1:
        return Work(timed, None)
    length = prompt_len + output_len / 2
    cache_bytes = shape.kv_bytes(batch, 1, cache_value_bytes(engine, precision, kv_cache_dtype)) * length
    decode = Step(weight_bytes + cache_bytes, 2 * (body + head) * batch + attention * batch * length)
    return Work(timed, decode)


def best_peaks(found: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Of each peak the best of several launches, since what disturbs a probe only slows it; {} where none has any."""
    measured = [peaks for peaks in found if peaks]
    return {name: max(peaks[name] for peaks in measured) for name in (measured[0] if measured else ())}


def host_speed(rounds: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """`host_loop_mean_s`: what a core of a GPU's host took for a fixed loop beside the rounds that count.

    Not the median: such a core is at times fast and at times slow, by a factor, and work takes the mean of both. {} on
    CPUs.
    """
    counted = (event for event in rounds if event.get("disturbed") is None and not event.get("fault"))
    probes_s = [seconds for event in counted for seconds in event.get("loop_s", ())]
    return {"host_loop_mean_s": fmean(probes_s)} if probes_s else {}


def host_loop_mean_s(machine: Mapping[str, Any]) -> float | None:
    """A session's `host_speed`; None where that was not measured."""
    figures = _figures(machine.get("measured"), "host_loop_mean_s")
    return figures[0] if figures else None


def step_of(work: Any, part: str) -> Step | None:
    """The "prefill" or the "decode" of a session's entry of a scenario (Work.figures); None where it is not known."""
    figures = _figures(work, f"{part}_bytes", f"{part}_flop")
    return Step(*figures) if figures else None


def peaks_of(machine: Mapping[str, Any]) -> Peaks | None:
    """What a session's machine reached beside its rows; None where that was not measured."""
    figures = _figures(machine.get("measured"), "read_bytes_s", "flop_s")
    return Peaks(*figures) if figures else None


def floor_s(step: Step, peaks: Peaks) -> float:
    """Seconds that a step takes on a machine that does nothing but reach its nearer peak."""
    return max(step.read_bytes / peaks.read_bytes_s, step.flop / peaks.flop_s)


def roof(step: Step, peaks: Peaks) -> Roof:
    """Which of the two limits a step meets first."""
    return "memory" if step.read_bytes / peaks.read_bytes_s >= step.flop / peaks.flop_s else "compute"


def bound(step: Step, seconds: float, peaks: Peaks) -> Bound:
    """What limits a step that took `seconds`: its roof, or neither where it is far from both."""
    return "overhead" if seconds > _OVERHEAD_FACTOR * floor_s(step, peaks) else roof(step, peaks)


def _figures(found: Any, *names: str) -> list[float] | None:
    """Those figures if all are there and can be divided by: files of other tools, or made by hand, hold anything."""
    values = [found.get(name) for name in names] if isinstance(found, Mapping) else []
    usable = [float(value) for value in values if isinstance(value, (int, float)) and value > 0]
    return usable if len(usable) == len(names) else None


def _head_bytes(engine: str, precision: str) -> float:
    quantised = WEIGHT_BYTES[precision] < 2
    return 2.0 if quantised and engine not in _QUANTISES_HEAD else WEIGHT_BYTES[precision]
