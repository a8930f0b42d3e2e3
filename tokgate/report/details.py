"""What stands beside a scenario's speed: roofline, energy, GPUs, memory, KV cache, CPU time. Pure: from a session.

A session's telemetry may come from an older tokgate or another tool: what is not there is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

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
    rounds of a second and more. `preemptions`: a round. `memory_bytes`: the GPUs' where there are any.
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
    counters = [counted for event in rounds if (counted := _of(event, "counters"))]
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
        cache=_cache([_of(event, "kv_cache") for event in rounds]),
        preemptions=_mean(counters, "num_preemptions"),
        prefix_hits=_ratio(counters, "prefix_cache_hits", "prefix_cache_queries"),
        accepted=_ratio(counters, "spec_decode_num_accepted_tokens", "spec_decode_num_draft_tokens"),
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


def _ratio(counters: Sequence[Mapping[str, Any]], part: str, whole: str) -> float | None:
    """None where there was nothing to take part of: no cache, no speculation."""
    total = sum(_number(counted, whole) or 0.0 for counted in counters)
    return sum(_number(counted, part) or 0.0 for counted in counters) / total if total else None


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
