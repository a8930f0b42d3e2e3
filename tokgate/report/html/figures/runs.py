"""Two rows, run by run: the plot that people draw first of a CPU and a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokgate.report.html.blocks import Figure
from tokgate.report.html.data import RowFacts
from tokgate.report.html.figures.base import SERIES, SYMBOLS, UNITS, axis, figure, text
from tokgate.report.html.figures.ticks import value_axis
from tokgate.report.units import text_of

HEIGHT_PX = 340
COLORS = SERIES[:2]
# Two lines further apart than this leave one of them on the floor of a linear axis.
_WIDE = 10
_MOST_TICKS = 10


@dataclass(frozen=True)
class Runs:
    name: str
    row: RowFacts


def runs(sides: Sequence[Runs]) -> Figure:
    """All rounds of all launches, in their order; dashed, the value that is judged."""
    unit = sides[0].row.row.unit
    data = []
    values = []
    for side, color, symbol in zip(sides, COLORS, SYMBOLS, strict=False):
        found = [(launch, value) for launch, each in enumerate(side.row.row.launches, 1) for value in each]
        values += [value for _, value in found]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": text(side.name),
                "x": list(range(1, len(found) + 1)),
                "y": [value for _, value in found],
                "line": {"color": color, "width": 1.5},
                "marker": {"symbol": symbol, "size": 8, "color": color},
                "text": [
                    f"<b>{text(side.name)}</b><br>launch {launch}: {text_of(value, unit)}" for launch, value in found
                ],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
        data.append({
            "type": "scatter", "mode": "lines", "x": [0.6, len(found) + 0.4], "y": [side.row.value] * 2,
            "line": {"color": color, "width": 1, "dash": "dash"}, "hoverinfo": "skip",
        })  # fmt: skip
    wide = max(values) > _WIDE * min(values)
    most = max(sum(map(len, side.row.row.launches)) for side in sides)
    return figure(
        data,
        HEIGHT_PX,
        xaxis=axis("run", range=[0.5, most + 0.5], tickvals=_whole(most), tickformat="d"),
        yaxis=value_axis("", values, unit) if wide else axis(rangemode="tozero", **UNITS.get(unit, {})),
    )


def _whole(most: int) -> list[int]:
    """1 and a few round numbers up to `most`: there is no run 0."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, most) if most / step <= _MOST_TICKS)
    return sorted({1, *range(step, most + 1, step)})
