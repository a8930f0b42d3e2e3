"""What a server, or an engine, told of itself beside a row, and how that differs from the accepted sessions: why it may
be slower."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

# A change of a share below this explains nothing.
_LEAST_SHARE = 0.05
# Nor does one of a count (preemptions, requests) by less than one a round, or by a tenth; of a rate by that share.
_LEAST_COUNT, _LEAST_GROWTH = 1.0, 1.1


@dataclass(frozen=True)
class _Figure:
    """A figure as it is told, and its words; `is_share`: from 0 to 1, told in percent; `is_rate`: of any size."""

    name: str
    words: str
    is_share: bool = False
    is_rate: bool = False


_FIGURES = (
    # Of an open loop at a share of what the server was found to carry: other latencies may be another load's.
    _Figure("rate", "requests sent a second", is_rate=True),
    _Figure("preemptions", "preemptions"),
    _Figure("kv_cache_use", "KV cache use", is_share=True),
    _Figure("waiting", "requests waiting in the server"),
    _Figure("running", "requests running at once"),
    _Figure("prefix_hit_share", "prompt tokens found in the cache", is_share=True),
    _Figure("acceptance", "drafted tokens accepted", is_share=True),
)
# An engine's counters, by the names that a server's are kept under.
_COUNTED = {
    "num_preemptions": "preemptions",
    "prefix_cache_queries": "prefix_queries",
    "prefix_cache_hits": "prefix_hits",
    "spec_decode_num_draft_tokens": "drafted_tokens",
    "spec_decode_num_accepted_tokens": "accepted_tokens",
}


def told_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the server (`serving.server_metrics.ServerUse`), or else the engine, told of itself in a round: its event.

    By a server's names; empty where neither told anything.
    """
    server, counters = event.get("server"), event.get("counters")
    if isinstance(server, Mapping) and server:
        return server
    if not isinstance(counters, Mapping):
        return {}
    return {_COUNTED[name]: value for name, value in counters.items() if name in _COUNTED}


def served_figures(rounds: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Of a scenario's rounds (`told_of` their events) the mean of each figure; what none tells is left out."""
    found: dict[str, list[float]] = {}
    for told in rounds:
        for name, value in _figures(told).items():
            found.setdefault(name, []).append(value)
    return {name: mean(values) for name, values in found.items()}


def served_changes(now: Any, accepted: Sequence[Mapping[str, Any]]) -> list[str]:
    """'preemptions 0 -> 41', 'KV cache use 45% -> 99%': a line for each figure beyond all that was accepted."""
    return [line for figure in _FIGURES if (line := _change(figure, now, accepted)) is not None]


def _change(figure: _Figure, now: Any, accepted: Sequence[Mapping[str, Any]]) -> str | None:
    value = _number(now, figure.name)
    before = [known for entry in accepted if (known := _number(entry, figure.name)) is not None]
    if value is None or not before:
        return None
    low, high = min(before), max(before)
    if figure.is_rate:
        material = value > high * (1 + _LEAST_SHARE) or value < low * (1 - _LEAST_SHARE)
    elif figure.is_share:
        material = value > high + _LEAST_SHARE or value < low - _LEAST_SHARE
    else:
        grown = value >= high + _LEAST_COUNT and value > high * _LEAST_GROWTH
        material = grown or (value <= low - _LEAST_COUNT and value * _LEAST_GROWTH < low)
    if not material:
        return None
    return f"{figure.words} {_text(figure, median(before))} -> {_text(figure, value)}"


def _text(figure: _Figure, value: float) -> str:
    if figure.is_share:
        return f"{value:.0%}"
    if figure.is_rate:
        return f"{value:.3g}"
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _figures(told: Mapping[str, Any]) -> dict[str, float]:
    values = {
        **{name: _number(told, name) for name in ("rate", "preemptions", "kv_cache_use", "waiting", "running")},
        "prefix_hit_share": _share(told, "prefix_hits", "prefix_queries"),
        "acceptance": _share(told, "accepted_tokens", "drafted_tokens"),
    }
    return {name: value for name, value in values.items() if value is not None}


def _share(told: Mapping[str, Any], part: str, whole: str) -> float | None:
    part_value, whole_value = _number(told, part), _number(told, whole)
    return part_value / whole_value if whole_value and part_value is not None else None


def _number(found: Any, name: str) -> float | None:
    """Files of other tools hold anything."""
    value = found.get(name) if isinstance(found, Mapping) else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
