"""How long a group's engine took to start, and whether it compiled anew. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any


def starts_text(launches: Sequence[Mapping[str, Any]]) -> str:
    """'start 102 s, compiled anew (vllm 2, flashinfer 3); later 21 s', of launches as a session's telemetry holds them.

    Of several launches of a kind the median; empty where none says how long it took.
    """
    told = [launch for launch in launches if isinstance(launch.get("load_s"), (int, float))]
    cold = [launch for launch in told if compiled_anew(launch)]
    warm = [launch for launch in told if not compiled_anew(launch)]
    if not cold:
        return f"start {_seconds(warm)}" if warm else ""
    caches: dict[str, int] = {}
    for launch in cold:
        for name, count in compiled_anew(launch).items():
            caches[name] = caches.get(name, 0) + count
    named = ", ".join(f"{name} {count}" for name, count in caches.items())
    later = f"; later {_seconds(warm)}" if warm else ""
    return f"start {_seconds(cold)}, compiled anew ({named}){later}"


def compiled_anew(launch: Mapping[str, Any]) -> Mapping[str, int]:
    """Cache -> how many things; empty where nothing was, or an older tokgate did not look."""
    compiled = launch.get("compiled")
    return compiled if isinstance(compiled, Mapping) else {}


def _seconds(launches: Sequence[Mapping[str, Any]]) -> str:
    seconds = median(launch["load_s"] for launch in launches)
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
