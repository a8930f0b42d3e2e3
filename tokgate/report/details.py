"""What stands beside a scenario's speed: roofline, energy, GPUs, memory, KV cache, CPU time. Pure: from a session.

A session's telemetry may come from an older tokgate or another tool: what is not there is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from tokgate.gate.served import told_of
from tokgate.report.figures import typical
from tokgate.roofline import Bound, bound, floor_s, peaks_of, step_of
from tokgate.session import Row, Session

# Boards average power and utilisation over up to a second: of shorter rounds they tell what was before.
_LEAST_SAMPLED_S = 1.0


@dataclass(frozen=True)
class CacheUse:
    """Tokens of the KV cache: the most in use at once (whole blocks; None if not known), and allocated."""

    peak_tokens: int | None
    tokens: int


@dataclass(frozen=True)
class Details:
    """One scenario. Shares are 0 to 1; `decode_share`: the roofline's floor of a decode step over its time.

    With speculation a step makes several tokens, so its share may exceed 1. `gpu_share` and `power_w`: the means of
    rounds of a second and more. `preemptions`: a round. `memory_bytes`: the GPUs' where there are any. `cache_share`:
    the most of the KV cache that was in use at once; a server tells that share, and no `cache`. What is told by neither
    a server nor an engine is None, which is not 0.
    """

    scenario: str
    tok_s: float | None
    decode_share: float | None
    decode_bound: Bound | None
    energy_j: float | None
    gpu_share: float | None
    power_w: float | None
    memory_bytes: float | None
    cache: CacheUse | None
    cache_share: float | None
    preemptions: float | None
    prefix_hits: float | None
    accepted: float | None
    cpu_s: float | None


def details(session: Session, group: str, scenarios: Iterable[str]) -> list[Details]:
    """The group's scenarios, in their order."""
    return [_details(session, group, scenario) for scenario in scenarios]


def launches_of(session: Session, group: str) -> list[Mapping[str, Any]]:
    """The group's launches of the judged interpreter, as its telemetry holds them."""
    told = _of(_of(session.telemetry, "groups"), group)
    return [launch for launch in _list(told, "launches") if isinstance(launch, Mapping)]


def _details(session: Session, group: str, scenario: str) -> Details:
    rows = {row.metric: row for row in session.rows if row.scenario == scenario}
    rounds = [
        event
        for launch in launches_of(session, group)
        for event in _list(launch, "rounds")
        if isinstance(event, Mapping) and event.get("scenario") == scenario and event.get("disturbed") is None
    ]
    watched = [_of(event, "gpu") for event in rounds if (_number(event, "total_s") or 0) >= _LEAST_SAMPLED_S]
    share, limit = _decode(session, scenario, rows.get("tpot"))
    told = [told_of(event) for event in rounds]
    cache = _cache([_of(event, "kv_cache") for event in rounds])
    memory = rows.get("peak_gpu_memory") or rows.get("peak_memory")
    return Details(
        scenario=scenario,
        tok_s=_typical(rows.get("output_throughput")),
        decode_share=share,
        decode_bound=limit,
        energy_j=_typical(rows.get("energy_per_token")),
        gpu_share=_mean(watched, "utilization"),
        power_w=_mean(watched, "power_w"),
        memory_bytes=max(map(max, memory.launches)) if memory else None,
        cache=cache,
        cache_share=_cache_share(cache, told),
        preemptions=_mean(told, "preemptions"),
        prefix_hits=_ratio(told, "prefix_hits", "prefix_queries"),
        accepted=_ratio(told, "accepted_tokens", "drafted_tokens"),
        cpu_s=_typical(rows.get("cpu_time_per_token")),
    )


def _decode(session: Session, scenario: str, tpot: Row | None) -> tuple[float | None, Bound | None]:
    step, peaks = step_of(_of(session.telemetry, "work").get(scenario), "decode"), peaks_of(session.machine)
    if tpot is None or step is None or peaks is None:
        return None, None
    seconds = typical(tpot)
    return floor_s(step, peaks) / seconds, bound(step, seconds, peaks)


def _cache(told: Sequence[Mapping[str, Any]]) -> CacheUse | None:
    sizes = [
        (blocks, each) for use in told if (blocks := _number(use, "blocks")) and (each := _number(use, "block_tokens"))
    ]
    if not sizes:
        return None
    blocks, each = sizes[0]
    peaks = [peak for use in told if (peak := _number(use, "peak_blocks")) is not None]
    return CacheUse(int(max(peaks) * each) if peaks else None, int(blocks * each))


def _cache_share(cache: CacheUse | None, told: Sequence[Mapping[str, Any]]) -> float | None:
    if cache is not None:
        return cache.peak_tokens / cache.tokens if cache.peak_tokens is not None and cache.tokens else None
    return max((share for figures in told if (share := _number(figures, "kv_cache_use")) is not None), default=None)


def _ratio(told: Sequence[Mapping[str, Any]], part: str, whole: str) -> float | None:
    """Of the rounds that tell both. None where there was nothing to take part of: no cache, no speculation."""
    pairs = [
        (some, of)
        for figures in told
        if (some := _number(figures, part)) is not None and (of := _number(figures, whole)) is not None
    ]
    total = sum(of for _, of in pairs)
    return sum(some for some, _ in pairs) / total if total else None


def _mean(told: Iterable[Mapping[str, Any]], name: str) -> float | None:
    values = [value for figures in told if (value := _number(figures, name)) is not None]
    return mean(values) if values else None


def _typical(row: Row | None) -> float | None:
    return None if row is None else typical(row)


def _number(told: Mapping[str, Any], name: str) -> float | None:
    value = told.get(name)
    return float(value) if isinstance(value, (int, float)) else None


def _of(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = told.get(name)
    return value if isinstance(value, Mapping) else {}


def _list(told: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = told.get(name)
    return value if isinstance(value, list) else []
