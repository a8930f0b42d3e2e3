"""The charts of a sweep's page: throughput against TPOT, the distance to the best, and the launches as dots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tokgate.report.html.blocks import Figure
from tokgate.report.html.figures.base import LANE_PX, UNITS, Mark, axis, figure, metric_name, text
from tokgate.report.units import text_of
from tokgate.sweep.labels import sides
from tokgate.sweep.outcome import Outcome
from tokgate.sweep.pareto import METRICS
from tokgate.sweep.ranking import Entry, Status
from tokgate.sweep.table import unit_of
from tokgate.sweep.words import behind

MARKS = {
    Status.BEST: Mark("@pass", "star", "★"),
    Status.LEVEL: Mark("@pass", "circle", "●"),
    Status.BEHIND: Mark("@series1", "diamond", "◆"),
    Status.OPEN: Mark("@inconclusive", "diamond-open", "◇"),
    Status.BREAKS: Mark("@regressed", "x", "✕"),
}
_PARETO_PX = 420
# What the axes of the Pareto chart leave of a page as wide as most are.
_PLOT_PX = (800.0, 270.0)
_LABEL_LETTERS = 44
# An interval that is far wider than what lies between the settings would hide them.
_WIDEST = 3.0


def pareto(outcome: Outcome) -> Figure | None:
    """None where the settings lack one of the two. Up and to the left is better; the line joins the front."""
    if not outcome.front.on:
        return None
    throughput, tpot = METRICS
    entries = outcome.ranking.entries
    on = sorted(
        (entry for entry in entries if entry.measured.candidate.number in outcome.front.on),
        key=lambda entry: _value(entry, tpot),
    )
    line = {
        "type": "scatter", "mode": "lines", "name": "front", "hoverinfo": "skip",
        "x": [_value(entry, tpot) for entry in on], "y": [_value(entry, throughput) for entry in on],
        "line": {"shape": "hv", "color": "@muted", "width": 1.5, "dash": "dot"},
    }  # fmt: skip
    label_sides = _label_sides(outcome)
    data = [line, *(_points(outcome, status, label_sides) for status in MARKS if outcome.ranking.of(status))]
    return figure(
        data, _PARETO_PX, showlegend=True,
        xaxis=axis("TPOT", rangemode="tozero", **UNITS["s"]), yaxis=axis("tok/s", rangemode="tozero", **UNITS["tok/s"]),
    )  # fmt: skip


def _label_sides(outcome: Outcome) -> dict[int, str]:
    """By the settings' numbers. Both axes begin at zero."""
    entries = [entry for status in MARKS for entry in outcome.ranking.of(status)]
    throughput, tpot = METRICS
    points = [(_value(entry, tpot), _value(entry, throughput)) for entry in entries]
    widest, highest = (max((point[axis] for point in points), default=0.0) or 1.0 for axis in (0, 1))
    marks = [(_PLOT_PX[0] * x / widest, _PLOT_PX[1] * y / highest) for x, y in points]
    numbers = [entry.measured.candidate.number for entry in entries]
    return dict(zip(numbers, sides(marks), strict=True))


def _points(outcome: Outcome, status: Status, label_sides: Mapping[int, str]) -> Figure:
    mark = MARKS[status]
    entries = outcome.ranking.of(status)
    throughput, tpot = METRICS
    return {
        "type": "scatter", "mode": "markers+text", "name": str(status),
        "x": [_value(entry, tpot) for entry in entries], "y": [_value(entry, throughput) for entry in entries],
        "text": [f"#{entry.measured.candidate.number}" for entry in entries],
        "textposition": [label_sides[entry.measured.candidate.number] for entry in entries],
        "marker": {"symbol": mark.symbol, "color": mark.color, "size": 11, "line": {"width": 1.5, "color": mark.color}},
        "hovertext": [_hover(entry, (throughput, tpot), outcome) for entry in entries],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }  # fmt: skip


def distances(outcome: Outcome) -> Figure | None:
    """How much worse than the best each is, with its interval; None where there is no best, or nothing beside it."""
    entries = [entry for entry in outcome.ranking.entries if entry.behind_pct is not None]
    best = outcome.ranking.best
    if best is None or not entries:
        return None
    shown = [best, *entries]
    places = {entry.measured.candidate.number: place for place, entry in enumerate(shown)}
    data = []
    for status, mark in MARKS.items():
        mine = [entry for entry in shown if entry.status is status]
        if not mine:
            continue
        change = [entry.behind_pct or 0.0 for entry in mine]
        ends = [entry.interval_pct or (0.0, 0.0) for entry in mine]
        data.append({
            "type": "scatter", "mode": "markers", "name": str(status),
            "x": change, "y": [places[entry.measured.candidate.number] for entry in mine],
            "error_x": {
                "type": "data", "symmetric": False, "thickness": 2, "width": 0, "color": mark.color,
                "array": [high - at for at, (_, high) in zip(change, ends, strict=True)],
                "arrayminus": [at - low for at, (low, _) in zip(change, ends, strict=True)],
            },
            "marker": {"symbol": mark.symbol, "color": mark.color, "size": 10},
            "hovertext": [_hover(entry, (outcome.sweep.objective.name,), outcome) for entry in mine],
            "hovertemplate": "%{hovertext}<extra></extra>",
        })  # fmt: skip
    return figure(
        data, len(shown) * LANE_PX + 110, showlegend=True,
        xaxis=axis("worse than the best", ticksuffix="%", range=_range(entries)), yaxis=_lanes(shown),
        shapes=[{"type": "line", "xref": "x", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1, "layer": "below",
                 "line": {"color": "@axis", "width": 1}}],
    )  # fmt: skip


def launches(outcome: Outcome) -> Figure:
    """Every launch of every setting as a dot, in the objective's unit; the number of its pass stands at it."""
    objective = outcome.sweep.objective
    entries = outcome.ranking.entries
    points = [
        (place, number, value)
        for place, entry in enumerate(entries)
        for number, value in entry.measured.values[objective.name].items()
    ]
    data = {
        "type": "scatter", "mode": "markers", "name": "launch",
        "x": [value for _, _, value in points], "y": [place for place, _, _ in points],
        "marker": {"symbol": "circle-open", "size": 9, "color": "@series1", "line": {"width": 1.5,
                                                                                     "color": "@series1"}},
        "hovertext": [
            f"<b>{text(entries[place].measured.candidate)}</b><br>pass {number}: {text_of(value, objective.unit)}"
            for place, number, value in points
        ],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }  # fmt: skip
    return figure([data], len(entries) * LANE_PX + 90, xaxis=axis(metric_name(objective.name), **UNITS.get(
        objective.unit, {})), yaxis=_lanes(entries))  # fmt: skip


def _lanes(entries: Sequence[Entry]) -> Figure:
    return axis(
        tickvals=list(range(len(entries))), ticktext=[_short(str(entry.measured.candidate)) for entry in entries],
        range=[len(entries) - 0.4, -0.6], fixedrange=True, showgrid=False,
    )  # fmt: skip


def _short(label: str) -> str:
    return text(label if len(label) <= _LABEL_LETTERS else f"{label[: _LABEL_LETTERS - 1]}…")


def _range(entries: Sequence[Entry]) -> list[float]:
    changes = [entry.behind_pct or 0.0 for entry in entries]
    bounds = [bound for entry in entries for bound in entry.interval_pct or ()]
    most = max(5.0, _WIDEST * max(abs(change) for change in changes))
    low, high = max(-most, min([0.0, *bounds])), min(most, max([0.0, *bounds]))
    edge = 0.06 * (high - low)
    return [low - edge, high + edge]


def _value(entry: Entry, metric: str) -> float:
    return entry.measured.levels[metric].value


def _hover(entry: Entry, metrics: Sequence[str], outcome: Outcome) -> str:
    engine = outcome.sweep.spec.engine
    values = [f"{metric_name(metric)} {text_of(_value(entry, metric), unit_of(metric, engine))}" for metric in metrics]
    worse = behind(entry)
    lines = [f"<b>{text(entry.measured.candidate)}</b>", *values, *([f"worse than the best {worse}"] if worse else []),
             str(entry.status)]  # fmt: skip
    return "<br>".join(lines)
