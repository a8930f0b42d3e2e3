"""Throughput against batch or concurrency, and beside it what it costs: TTFT and TPOT."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tokgate.report.html.blocks import Figure, Key
from tokgate.report.html.data import RowFacts, short_names
from tokgate.report.html.figures.base import SERIES, SIGNS, SYMBOLS, UNITS, axis, figure, log_axis, metric_name, text
from tokgate.report.html.figures.ticks import value_axis
from tokgate.report.units import text_of

HEIGHT_PX = 300
METRICS = ("output_throughput", "ttft", "tpot")
AT_ONCE = {"b": "batch", "c": "concurrency"}
_LEAST_POINTS = 2
# Beyond this factor a linear axis hides the small ones.
_WIDE = 10


@dataclass(frozen=True)
class Curve:
    """Rows that differ in how many sequences are in work at once, and in nothing else."""

    name: str
    scenarios: dict[int, str]


def curves(rows: Iterable[RowFacts], by: str) -> list[Curve]:
    """Of two points and more, the longest first. `by`: "b" or "c"."""
    shaped = [row for row in rows if row.shape is not None and row.shape.by == by]
    names = short_names(row.group for row in shaped)
    found: dict[str, dict[int, str]] = {}
    for row in shaped:
        assert row.shape is not None
        settings = row.label.split(".")[:-3]
        name = " ".join([".".join([names[row.group], *settings]), f"{row.shape.prompt_len}→{row.shape.output_len}"])
        found.setdefault(name, {})[row.shape.at_once] = row.row.scenario
    long = [Curve(name, dict(sorted(points.items()))) for name, points in found.items() if len(points) >= _LEAST_POINTS]
    return sorted(long, key=lambda curve: -len(curve.scenarios))


def legend(found: Sequence[Curve]) -> list[Key]:
    return [Key(curve.name, _color(place), SIGNS[_symbol(place)]) for place, curve in enumerate(found)]


def scaling(rows: Sequence[RowFacts], found: Sequence[Curve], by: str, metric: str) -> Figure:
    """One metric of all curves."""
    values = {row.row.scenario: row for row in rows if row.row.metric == metric}
    unit = next(iter(values.values())).row.unit if values else ""
    data = []
    for place, curve in enumerate(found):
        points = [(at, values[scenario]) for at, scenario in curve.scenarios.items() if scenario in values]
        data.append({
            "type": "scatter", "mode": "lines+markers", "name": text(curve.name),
            "x": [at for at, _ in points], "y": [row.value for _, row in points],
            "line": {"color": _color(place), "width": 1.5},
            "marker": {"symbol": SYMBOLS[_symbol(place)], "size": 8, "color": _color(place)},
            "text": [
                f"<b>{text(row.row.scenario)}</b><br>{metric_name(metric)} {text_of(row.value, row.row.unit)}"
                for _, row in points
            ],
            "hovertemplate": "%{text}<extra></extra>",
        })  # fmt: skip
    ticks = [at for curve in found for at in curve.scenarios]
    return figure(
        data,
        HEIGHT_PX,
        xaxis=log_axis(AT_ONCE[by], ticks),
        yaxis=_value_axis([row.value for row in values.values()], unit),
    )


def _value_axis(values: Sequence[float], unit: str) -> Figure:
    wide = bool(values) and max(values) > _WIDE * min(values)
    return value_axis("", values, unit) if wide else axis(rangemode="tozero", **UNITS.get(unit, {}))


def _color(place: int) -> str:
    return SERIES[place % len(SERIES)]


def _symbol(place: int) -> int:
    return (place + place // len(SERIES)) % len(SYMBOLS)
