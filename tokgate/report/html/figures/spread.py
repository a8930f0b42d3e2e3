"""Dots: every round of every launch, as seconds, and as a distance from the row's own value, so that noise is seen."""

from __future__ import annotations

from collections.abc import Sequence

from tokgate.gate.scale import change_pct, harm, launch_values
from tokgate.report.html.blocks import Figure
from tokgate.report.html.data import RowFacts
from tokgate.report.html.figures.base import (
    SERIES,
    SYMBOLS,
    Lanes,
    axis,
    figure,
    lanes,
    metric_name,
    text,
)
from tokgate.report.html.figures.ticks import value_axis
from tokgate.report.units import text_of

# Launches stand apart within a lane by this share of it, all of them together.
_LANE_SHARE = 0.56


def distribution(rows: Sequence[RowFacts], tails: Sequence[RowFacts] = ()) -> Figure:
    """Rounds of one metric's `rows`, a line at the value that is judged; `tails`: their 99th percentiles, if any."""
    placed = lanes(rows)
    unit = rows[0].row.unit
    by_scenario = {row.row.scenario: placed.places[row.key] for row in rows}
    traces = [
        _dots("rounds", _launch_lanes(rows, placed, relative=False), "@accent", 6, 0.55, "circle", unit),
        {
            "type": "scatter", "mode": "markers", "name": "judged value",
            "x": [row.value for row in rows], "y": [placed.places[row.key] for row in rows],
            "marker": {"symbol": "line-ns-open", "size": 16, "color": "@ink", "line": {"width": 2.5, "color": "@ink"}},
            "text": [f"<b>{text(row.row.scenario)}</b><br>{text_of(row.value, unit)}" for row in rows],
            "hovertemplate": "%{text}<extra></extra>",
        },
        _accepted(rows, placed),
        {
            "type": "scatter", "mode": "markers", "name": "P99",
            "x": [tail.value for tail in tails], "y": [by_scenario[tail.row.scenario] for tail in tails],
            "marker": {"symbol": "triangle-right", "size": 9, "color": "@regressed"},
            "text": [f"<b>{text(tail.row.scenario)}</b><br>P99 {text_of(tail.value, unit)}" for tail in tails],
            "hovertemplate": "%{text}<extra></extra>",
        },
    ]  # fmt: skip
    return figure(
        [trace for trace in traces if trace["x"]],
        placed.height + 30,
        showlegend=True,
        xaxis=value_axis(f"{metric_name(text(rows[0].row.metric))} (logarithmic)", _every(rows, tails), unit),
        yaxis=placed.axis(),
        annotations=placed.annotations(),
    )


def _every(rows: Sequence[RowFacts], tails: Sequence[RowFacts]) -> list[float]:
    rounds = [value for row in rows for launch in row.row.launches for value in launch]
    return [*rounds, *(tail.value for tail in tails)]


def noise(rows: Sequence[RowFacts]) -> Figure:
    """Launches as dots, their rounds as small ones: percent from the row's own value, right is worse."""
    placed = lanes(rows)
    launches = max(len(row.row.launches) for row in rows)
    traces = []
    for number in range(launches):
        points = _launch_lanes(rows, placed, relative=True, only=number)
        color, symbol = SERIES[number % len(SERIES)], SYMBOLS[number % len(SYMBOLS)]
        traces.append(_dots("", points, color, 4, 0.45, symbol, "%", group=f"launch {number + 1}"))
        large = _medians(rows, placed, number)
        traces.append(_dots(f"launch {number + 1}", large, color, 9, 1.0, symbol, "%", group=f"launch {number + 1}"))
    return figure(
        traces,
        placed.height + 30,
        showlegend=True,
        xaxis=axis("worse than the row's value", ticksuffix="%"),
        yaxis=placed.axis(),
        annotations=placed.annotations(),
        shapes=[
            {"type": "line", "xref": "x", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1, "layer": "below",
             "line": {"color": "@axis", "width": 1}},
        ],
    )  # fmt: skip


_Points = list[tuple[float, float, str]]


def _launch_lanes(rows: Sequence[RowFacts], placed: Lanes, relative: bool, only: int | None = None) -> _Points:
    """(x, y, hover) of each round."""
    points = []
    for row in rows:
        for number, launch in enumerate(row.row.launches):
            if only is not None and number != only:
                continue
            y = placed.places[row.key] + _offset(number, len(row.row.launches))
            for index, value in enumerate(launch, 1):
                words = f"launch {number + 1}, round {index}: {text_of(value, row.row.unit)}"
                at = _relative(row, value) if relative else value
                points.append((at, y, f"<b>{text(row.row.scenario)}</b><br>{text(words)}"))
    return points


def _medians(rows: Sequence[RowFacts], placed: Lanes, number: int) -> _Points:
    points = []
    for row in rows:
        if number < len(row.row.launches):
            value = launch_values(row.row.launches)[number]
            y = placed.places[row.key] + _offset(number, len(row.row.launches))
            words = f"launch {number + 1}: {text_of(value, row.row.unit)}"
            points.append((_relative(row, value), y, f"<b>{text(row.row.scenario)}</b><br>{text(words)}"))
    return points


def _relative(row: RowFacts, value: float) -> float:
    better = row.row.better
    return change_pct(harm(value, better) - harm(row.value, better), better)


def _offset(number: int, launches: int) -> float:
    return 0.0 if launches < 2 else _LANE_SHARE * (number / (launches - 1) - 0.5)


def _dots(
    name: str, points: _Points, color: str, size: int, opacity: float, symbol: str, unit: str, group: str = ""
) -> Figure:
    return {
        "type": "scatter", "mode": "markers", "name": name, "showlegend": bool(name),
        **({"legendgroup": group} if group else {}),
        "x": [x for x, _, _ in points], "y": [y for _, y, _ in points], "text": [hover for _, _, hover in points],
        "marker": {"symbol": symbol, "size": size, "color": color, "opacity": opacity},
        "hovertemplate": "%{text}" + ("<br>%{x:+.1f}%" if unit == "%" else "") + "<extra></extra>",
    }  # fmt: skip


def _accepted(rows: Sequence[RowFacts], placed: Lanes) -> Figure:
    known = [(row, row.judged.baseline_value) for row in rows if row.judged and row.judged.baseline_value is not None]
    return {
        "type": "scatter", "mode": "markers", "name": "baseline",
        "x": [value for _, value in known], "y": [placed.places[row.key] for row, _ in known],
        "marker": {"symbol": "diamond-open", "size": 9, "color": "@muted", "line": {"width": 1.5, "color": "@muted"}},
        "text": [f"<b>{text(row.row.scenario)}</b><br>baseline {text_of(value, row.row.unit)}" for row, value in known],
        "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip
