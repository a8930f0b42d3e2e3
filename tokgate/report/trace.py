"""What a trace of torch's profiler says of a round: where its time went. Pure but for reading the file.

vLLM annotates each step of its engine with its requests, 'execute_context_1(512)_generation_3(3)': those whose prompt
is being read and those that decode. On a GPU kernels run after the step that launched them, so there the annotations of
the GPU's own timeline count.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tokgate.errors import InputError

_STEP = re.compile(r"execute_(?:\d+_)?context_(\d+)\(.*\)_generation_(\d+)\(")
_ON_GPU = ("kernel", "gpu_memcpy", "gpu_memset")
_OPERATOR = "cpu_op"
_STEPS_ON_GPU, _STEPS_ON_CPU = "gpu_user_annotation", "user_annotation"


class _Event(msgspec.Struct, frozen=True, gc=False):
    """One entry of "traceEvents"; times in microseconds."""

    ph: str = ""
    cat: str = ""
    name: str = ""
    pid: int | str = 0
    tid: int | str = 0
    ts: float = 0.0
    dur: float = 0.0

    @property
    def end(self) -> float:
        return self.ts + self.dur


class _Trace(msgspec.Struct):
    traceEvents: list[_Event]


@dataclass(frozen=True)
class Part:
    """A kernel or an operator, or a kind of step: how often, and its share of the time, 0 to 1."""

    name: str
    count: int
    share: float


@dataclass(frozen=True)
class TraceSummary:
    """One round. `top`: kernels by their share of all kernels' time; without a GPU operators by their own time, without
    what they call. `idle_share`: of the round in which no kernel ran; None without a GPU. `phases`: "prefill", steps
    that read prompts, decoding beside them or not, and "decode", each step up to the next one's begin; empty without
    annotations.
    """

    round_s: float
    on_gpu: bool
    top: tuple[Part, ...]
    idle_share: float | None
    phases: tuple[Part, ...]


def read_summary(path: Path, most: int = 5) -> TraceSummary:
    """Of a trace as torch writes it, compressed or not. Raises InputError where it is none, or holds no work."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        events = msgspec.json.decode(content, type=_Trace).traceEvents
    except (OSError, EOFError, zlib.error, msgspec.DecodeError) as error:
        raise InputError(f"{path}: not a trace of torch's profiler: {error}") from None
    try:
        return _summarise([event for event in events if event.ph == "X"], most)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _summarise(events: Sequence[_Event], most: int) -> TraceSummary:
    """Raises ValueError where there is nothing to summarise."""
    kernels = [event for event in events if event.cat in _ON_GPU]
    work = kernels or [event for event in events if event.cat == _OPERATOR]
    if not work:
        raise ValueError("it holds neither kernels nor operators: nothing ran while it was recorded")
    steps = _steps(events, _STEPS_ON_GPU if kernels else _STEPS_ON_CPU) or _steps(events, _STEPS_ON_CPU)
    begin = min(event.ts for event in work)
    end = max(event.end for event in work)
    times = [(event.name, event.dur) for event in kernels] or list(_own_times(work))
    return TraceSummary(
        round_s=(end - begin) / 1e6,
        on_gpu=bool(kernels),
        top=_top(times, most),
        idle_share=1 - _busy(kernels) / (end - begin) if kernels else None,
        phases=_phases(steps, end),
    )


def _steps(events: Iterable[_Event], category: str) -> list[tuple[str, float]]:
    """(kind, begin) of the steps that had requests, in time."""
    found = []
    for event in events:
        match = _STEP.match(event.name) if event.cat == category else None
        if match and (int(match[1]) or int(match[2])):
            found.append(("prefill" if int(match[1]) else "decode", event.ts))
    return sorted(found, key=lambda step: step[1])


def _phases(steps: Sequence[tuple[str, float]], end: float) -> tuple[Part, ...]:
    if not steps:
        return ()
    ends = [begin for _, begin in steps[1:]] + [max(end, steps[-1][1])]
    spans = [(kind, stop - begin) for (kind, begin), stop in zip(steps, ends, strict=True)]
    return tuple(sorted(_top(spans, 2), key=lambda part: part.name, reverse=True))


def _top(times: Sequence[tuple[str, float]], most: int) -> tuple[Part, ...]:
    total = sum(time for _, time in times)
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for name, time in times:
        sums[name] += time
        counts[name] += 1
    largest = sorted(sums, key=lambda name: -sums[name])[:most]
    return tuple(Part(name, counts[name], sums[name] / total if total else 0.0) for name in largest)


def _busy(kernels: Iterable[_Event]) -> float:
    """Microseconds in which at least one ran; streams overlap."""
    busy, until = 0.0, float("-inf")
    for event in sorted(kernels, key=lambda event: event.ts):
        busy += max(0.0, event.end - max(event.ts, until))
        until = max(until, event.end)
    return busy


def _own_times(operators: Iterable[_Event]) -> Iterable[tuple[str, float]]:
    """Each operator's time without that of the operators which it calls: those that lie within it, in its thread."""
    threads: dict[tuple[int | str, int | str], list[_Event]] = defaultdict(list)
    for event in operators:
        threads[event.pid, event.tid].append(event)
    for mine in threads.values():
        open_: list[list[float]] = []
        names: list[str] = []
        for event in sorted(mine, key=lambda event: (event.ts, -event.dur)):
            while open_ and open_[-1][0] <= event.ts:
                yield names.pop(), open_.pop()[1]
            if open_:
                open_[-1][1] -= event.dur
            open_.append([event.end, event.dur])
            names.append(event.name)
        while open_:
            yield names.pop(), open_.pop()[1]
