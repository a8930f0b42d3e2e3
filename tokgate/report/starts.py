"""How long a group's engine took to start, and what came into the compile caches meanwhile. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any


def starts_text(launches: Sequence[Mapping[str, Any]]) -> str:
    """'start 102 s, new in the caches (vllm 2, flashinfer 3); later 21 s', of launches as a session's telemetry holds
    them.

    Of several launches of a kind the median; empty where none says how long it took.
    """
    told = [launch for launch in launches if isinstance(launch.get("load_s"), (int, float))]
    cold = [launch for launch in told if new_in_caches(launch)]
    warm = [launch for launch in told if not new_in_caches(launch)]
    if not cold:
        return f"start {_seconds(warm)}" if warm else ""
    caches: dict[str, int] = {}
    for launch in cold:
        for name, count in new_in_caches(launch).items():
            caches[name] = caches.get(name, 0) + count
    named = ", ".join(f"{name} {count}" for name, count in caches.items())
    later = f"; later {_seconds(warm)}" if warm else ""
    return f"start {_seconds(cold)}, new in the caches ({named}){later}"


def new_in_caches(launch: Mapping[str, Any]) -> Mapping[str, int]:
    """Cache -> how many things; empty where nothing came in, or an older tokgate did not look."""
    compiled = launch.get("compiled")
    return compiled if isinstance(compiled, Mapping) else {}


def _seconds(launches: Sequence[Mapping[str, Any]]) -> str:
    seconds = median(launch["load_s"] for launch in launches)
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
