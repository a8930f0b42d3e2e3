"""Ticks of logarithmic axes, each with its whole value: plotly's own say "2" and "5" between "10ms" and "100ms"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tokgate.report.html.figures.base import UNITS, axis, log_axis

# From few to many a decade: the first that gives enough ticks is taken.
_MANTISSAS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
_ENOUGH = 4
_WORDS = {
    "s": ((1.0, " s"), (1e-3, " ms"), (1e-6, " us"), (1e-9, " ns")),
    "": ((1e6, "M"), (1e3, "k"), (1.0, "")),
}


def value_axis(title: str, values: Sequence[float], unit: str = "") -> dict[str, Any]:
    """A logarithmic axis over `values` in `unit`, seconds or a plain number; plotly's own ticks where these are few."""
    ticks = _ticks(min(values), max(values)) if values and min(values) > 0 else []
    if not ticks:
        return log_axis(title, **UNITS.get(unit, {}))
    return axis(title, type="log", tickvals=ticks, ticktext=[_text(tick, unit) for tick in ticks])


def _ticks(low: float, high: float) -> list[float]:
    """Those of 1, 2, 5 or the like that lie between the two, with a little room; [] where there are not two."""
    low, high = low / 1.15, high * 1.15
    found: list[float] = []
    for mantissas in _MANTISSAS:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        # From text, so that 3 ms is 0.003 and nothing beside it.
        every = [float(f"{mantissa}e{decade}") for decade in decades for mantissa in mantissas]
        found = [tick for tick in every if low <= tick <= high]
        if len(found) >= _ENOUGH:
            break
    return found if len(found) > 1 else []


def _text(value: float, unit: str) -> str:
    words = _WORDS["s" if unit == "s" else ""]
    factor, word = next((each for each in words if value >= each[0]), words[-1])
    return f"{value / factor:g}{word}"
