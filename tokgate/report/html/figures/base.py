"""What all figures share: layout, axes, colours and symbols, and text that stays text.

Colours are names (`@pass`, `@series3`); the page resolves them by theme. Plotly reads a few tags and entities in any
text, so what comes from a file is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tokgate.gate.verdict import Verdict
from tokgate.report.html.blocks import Figure
from tokgate.report.html.data import RowFacts, short_names

SERIES = tuple(f"@series{number}" for number in range(1, 9))
# Symbols of plotly, and the sign that stands for each in a text.
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "star", "hexagon")
SIGNS = ("●", "■", "◆", "▲", "✚", "▼", "★", "⬢")
LANE_PX = 22
# Prefixes of plotly's own: 0.01 is "10ms".
_PREFIXED: dict[str, Any] = {"exponentformat": "SI", "minexponent": 0}
UNITS: dict[str, dict[str, Any]] = {"s": {**_PREFIXED, "ticksuffix": "s"}, "tok/s": _PREFIXED, "B": _PREFIXED}


@dataclass(frozen=True)
class Mark:
    """How a verdict looks where colour alone must not tell it."""

    color: str
    symbol: str
    sign: str


MARKS = {
    Verdict.REGRESSED: Mark("@regressed", "x", "✕"),
    Verdict.INVALID: Mark("@invalid", "x-thin-open", "✖"),
    Verdict.INCONCLUSIVE: Mark("@inconclusive", "diamond-open", "◇"),
    Verdict.NO_BASELINE: Mark("@inconclusive", "circle-open", "○"),
    Verdict.DRIFT: Mark("@drift", "square", "■"),
    Verdict.IMPROVED: Mark("@improved", "triangle-up", "▲"),
    Verdict.PASS: Mark("@pass", "circle", "●"),
}


def text(value: object) -> str:
    """As plotly shows it, letter by letter."""
    return html.escape(str(value), quote=False)


def figure(data: Sequence[dict[str, Any]], height: int, **layout: Any) -> Figure:
    """`height` in px. Legends stand above, in reading order."""
    return {
        "data": list(data),
        "layout": {
            "height": height,
            "margin": {"l": 8, "r": 12, "t": 8, "b": 40},
            "showlegend": False,
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"},
            "hovermode": "closest",
            **layout,
        },
    }


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    return {"title": {"text": title, "standoff": 8}, "automargin": True, "zeroline": False, **more}


def log_axis(title: str, ticks: Iterable[float] = (), **more: Any) -> dict[str, Any]:
    """With `ticks`, numbers as they are; else plotly's own."""
    values = sorted(set(ticks))
    exact = {"tickvals": values, "ticktext": [f"{value:g}" for value in values]} if values else {"nticks": 6}
    return axis(title, type="log", **exact, **more)


@dataclass(frozen=True)
class Lanes:
    """Rows one under the other, groups with a heading of their own: where each stands, and the axis that names them."""

    places: dict[str, int]
    labels: dict[int, str]
    headings: dict[int, str]

    @property
    def height(self) -> int:
        return self.count * LANE_PX + 96

    @property
    def count(self) -> int:
        return len(self.labels) + len(self.headings)

    def axis(self) -> dict[str, Any]:
        return axis(
            tickvals=list(self.labels), ticktext=list(self.labels.values()),
            range=[self.count - 0.4, -0.6], fixedrange=True, showgrid=False,
        )  # fmt: skip

    def annotations(self) -> list[dict[str, Any]]:
        """The headings, and a line above each."""
        return [
            {
                "xref": "paper", "x": 0, "xanchor": "left", "yref": "y", "y": place, "yanchor": "middle",
                "text": f"<b>{name}</b>", "showarrow": False, "font": {"size": 12},
            }
            for place, name in self.headings.items()
        ]  # fmt: skip


def lanes(rows: Sequence[RowFacts], with_metric: bool = False) -> Lanes:
    """A lane a row, in their order; a heading for each group where there are several."""
    names = short_names(row.group for row in rows)
    places: dict[str, int] = {}
    labels: dict[int, str] = {}
    headings: dict[int, str] = {}
    place = 0
    for group in names:
        if len(names) > 1:
            headings[place] = text(names[group])
            place += 1
        for row in rows:
            if row.group == group:
                places[row.key] = place
                labels[place] = text(f"{row.label} {metric_name(row.row.metric)}" if with_metric else row.label)
                place += 1
    return Lanes(places, labels, headings)


def metric_name(metric: str) -> str:
    """As people call it: "p99_ttft" -> "P99 TTFT", "output_throughput" -> "tok/s"."""
    if metric == "output_throughput":
        return "tok/s"
    words = (
        word.upper() if word in ("ttft", "tpot", "itl", "e2el", "p99", "cpu", "gpu") else word
        for word in metric.split("_")
    )
    return " ".join(words)
