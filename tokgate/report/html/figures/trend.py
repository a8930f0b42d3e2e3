"""Rows over time, each against its own median, with the moments at which software changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

from tokgate.gate.scale import change_pct, harm
from tokgate.report.html.blocks import Figure
from tokgate.report.html.figures.base import SERIES, SYMBOLS, axis, figure, text
from tokgate.report.units import text_of
from tokgate.session import Better

HEIGHT_PX = 420
# Where a mark's number stands, of the figure's height.
_HEAD = 0.97


@dataclass(frozen=True)
class Point:
    """One session of a row; `worse_pct`: from the median of its valid sessions."""

    started: str
    session: str
    standing: str
    value: float
    worse_pct: float


@dataclass(frozen=True)
class Line:
    label: str
    unit: str
    points: tuple[Point, ...]

    @classmethod
    def of(cls, label: str, better: Better, unit: str, nights: Sequence[tuple[str, str, str, float]]) -> Line:
        """`nights`: (started, session, standing, value) by time."""
        sound = [value for _, _, standing, value in nights if standing != "invalid"]
        middle = harm(median(sound or [value for *_, value in nights]), better)
        points = [
            Point(started, session, standing, value, change_pct(harm(value, better) - middle, better))
            for started, session, standing, value in nights
        ]
        return cls(label, unit, tuple(points))


@dataclass(frozen=True)
class Mark:
    """What changed, from the session on that started then. `number`: in the page's table of changes."""

    number: int
    started: str
    words: Sequence[str]


def trend(lines: Sequence[Line], marks: Sequence[Mark]) -> Figure:
    """`lines`: at most as many as there are colours."""
    data = []
    for color, symbol, line in zip(SERIES, SYMBOLS, lines, strict=False):
        sound = [point for point in line.points if point.standing != "invalid"]
        data.append({**_dots(line, sound, color, symbol), "mode": "lines+markers"})
        invalid = [point for point in line.points if point.standing == "invalid"]
        if invalid:
            data.append({**_dots(line, invalid, color, f"{symbol}-open"), "showlegend": False})
    return _over_time(data, marks)


def overview(lines: Mapping[str, Sequence[Line]], marks: Sequence[Mark]) -> Figure:
    """A line a metric: the mean over its rows of each valid session, `lines` by the metric's name."""
    data = []
    for color, symbol, (name, found) in zip(SERIES, SYMBOLS, lines.items(), strict=False):
        by_session: dict[str, list[Point]] = {}
        for point in (point for line in found for point in line.points if point.standing != "invalid"):
            by_session.setdefault(point.session, []).append(point)
        nights = sorted(by_session.values(), key=lambda points: points[0].started)
        data.append({
            "type": "scatter", "mode": "lines+markers", "name": text(name),
            "x": [points[0].started for points in nights],
            "y": [mean(point.worse_pct for point in points) for points in nights],
            "text": [f"<b>{text(points[0].session)}</b><br>{text(name)}, {len(points)} rows" for points in nights],
            "line": {"color": color, "width": 1.5}, "marker": {"symbol": symbol, "size": 7, "color": color},
            "hovertemplate": "%{text}<br>%{y:+.1f}%<extra></extra>",
        })  # fmt: skip
    return _over_time(data, marks)


def _dots(line: Line, points: Sequence[Point], color: str, symbol: str) -> Figure:
    return {
        "type": "scatter", "mode": "markers", "name": text(line.label),
        "x": [point.started for point in points], "y": [point.worse_pct for point in points],
        "text": [
            f"<b>{text(line.label)}</b><br>{text(point.session)}, {point.standing}<br>{text_of(point.value, line.unit)}"
            for point in points
        ],
        "line": {"color": color, "width": 1.5},
        "marker": {"symbol": symbol, "size": 7, "color": color, "line": {"width": 1.5, "color": color}},
        "hovertemplate": "%{text}<br>%{y:+.1f}%<extra></extra>",
    }  # fmt: skip


def _over_time(data: Sequence[Figure], marks: Sequence[Mark]) -> Figure:
    """The marks' words are read by pointing at their numbers; the page has them in a table too."""
    heads = {
        "type": "scatter", "mode": "markers+text", "name": "software changed", "yaxis": "y2",
        "x": [mark.started for mark in marks], "y": [_HEAD] * len(marks), "cliponaxis": False,
        "text": [str(mark.number) for mark in marks], "textposition": "middle center", "textfont": {"color": "@sheet"},
        "hovertext": ["<br>".join(map(text, mark.words)) for mark in marks],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"symbol": "square", "size": 17, "color": "@accent"},
    }  # fmt: skip
    return figure(
        [*data, *([heads] if marks else [])],
        HEIGHT_PX,
        showlegend=True,
        xaxis=axis(type="date"),
        yaxis=axis("worse than its median", ticksuffix="%", zeroline=True, zerolinecolor="@axis"),
        yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
        shapes=[
            {"type": "line", "xref": "x", "x0": mark.started, "x1": mark.started, "yref": "paper", "y0": 0, "y1": 1,
             "layer": "below", "line": {"color": "@accent", "width": 1, "dash": "dot"}}
            for mark in marks
        ],
    )  # fmt: skip
