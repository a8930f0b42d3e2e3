"""An optimisation ladder: a lane a step; what it gave, and by what factor it changed."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tokgate.gate.change import Change
from tokgate.report.html.blocks import Figure
from tokgate.report.html.figures.base import LANE_PX, SERIES, UNITS, axis, figure, log_axis, text
from tokgate.report.ladder import Climb, Rung
from tokgate.report.ladder_table import bounds, factor
from tokgate.report.units import text_of

_BAR_PX = LANE_PX + 14
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
# Room for the figures beside the outermost dots, in decades.
_EDGE = 0.15


def values(climb: Climb, column: str) -> Figure:
    """A bar a step; of one without a figure its lane says why there is none."""
    known = [(place, rung, value) for place, rung in enumerate(climb.rungs)
             if (value := rung.value(column)) is not None]  # fmt: skip
    unit = next((rung.rows[column].unit for _, rung, _ in known), "")
    bars = {
        "type": "bar", "orientation": "h", "x": [value for _, _, value in known], "y": [place for place, _, _ in known],
        "marker": {"color": SERIES[0]}, "textposition": "outside", "cliponaxis": False,
        "text": [text_of(value, "" if unit == "tok/s" else unit) for _, _, value in known],
        "hovertext": [f"<b>{text(rung.step.name)}</b><br>{text_of(value, unit)}<br>{text(rung.step.what)}<br>"
                      f"{text(rung.session)}" for _, rung, value in known],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }  # fmt: skip
    most = max((value for _, _, value in known), default=1.0)
    absent = {place: _why_none(rung, column) for place, rung in enumerate(climb.rungs) if column not in rung.rows}
    # Room for the figure behind the longest bar.
    return _laned(climb, [bars], axis("", range=[0, 1.5 * most], **UNITS.get(unit, {})), absent)


def changes(climb: Climb, column: str, before: bool) -> Figure:
    """Factors with their intervals; right of the line, at 1, is better."""
    found = [(place, rung, change) for place, rung in enumerate(climb.rungs)
             if (change := (rung.before if before else rung.first).get(column)) is not None]  # fmt: skip
    factors = [change.factor for _, _, change in found]
    limits = [change.interval or (change.factor, change.factor) for _, _, change in found]
    dots = {
        "type": "scatter", "mode": "markers+text", "x": factors, "y": [place for place, _, _ in found],
        "error_x": {
            "type": "data", "symmetric": False, "thickness": 2, "width": 0, "color": SERIES[1],
            "array": [high - at for at, (_, high) in zip(factors, limits, strict=True)],
            "arrayminus": [at - low for at, (low, _) in zip(factors, limits, strict=True)],
        },
        "marker": {"size": 8, "color": SERIES[1], "symbol": "diamond"},
        "text": [factor(change) for _, _, change in found], "textposition": "top center",
        "hovertext": [_hover(rung, change, before) for _, rung, change in found],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }  # fmt: skip
    line = {"type": "line", "xref": "x", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1, "layer": "below",
            "line": {"color": "@axis", "width": 1}}  # fmt: skip
    shown = {place for place, _, _ in found}
    absent = {
        place: "nothing to compare" if column in rung.rows else _why_none(rung, column)
        for place, rung in enumerate(climb.rungs)
        if place and place not in shown
    }
    low, high = min([1.0, *(low for low, _ in limits)]), max([1.0, *(high for _, high in limits)])
    edges = [math.log10(low) - _EDGE, math.log10(high) + _EDGE]
    ticks = [tick for tick in _TICKS if edges[0] <= math.log10(tick) <= edges[1]]
    return _laned(climb, [dots], log_axis("times as good", ticks, range=edges), absent, shapes=[line])


def _why_none(rung: Rung, column: str) -> str:
    return f"no {column} there" if rung.standing == "measured" else rung.standing


def _laned(climb: Climb, data: list[Figure], xaxis: Figure, absent: Mapping[int, str], **layout: object) -> Figure:
    """`absent`: what stands in a lane without a figure."""
    rungs = climb.rungs
    lanes = axis(
        tickvals=list(range(len(rungs))), ticktext=[text(rung.step.name) for rung in rungs],
        range=[len(rungs) - 0.4, -0.6], fixedrange=True, showgrid=False,
    )  # fmt: skip
    words = [
        {"xref": "paper", "x": 0.01, "xanchor": "left", "yref": "y", "y": place, "yanchor": "middle",
         "text": text(why), "showarrow": False, "font": {"size": 12, "color": "@inconclusive"}}
        for place, why in absent.items()
    ]  # fmt: skip
    return figure(data, len(rungs) * _BAR_PX + 96, xaxis=xaxis, yaxis=lanes, annotations=words, **layout)


def _hover(rung: Rung, change: Change, before: bool) -> str:
    interval = f", 95% {bounds(change)}" if change.interval else ""
    against = "the step before" if before else "the first step"
    return f"<b>{text(rung.step.name)}</b><br>{factor(change)}{interval} against {against}"
