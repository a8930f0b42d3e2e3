"""One row, session by session: each launch a dot, the session's value a line, accepted sessions beside new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokgate.gate.scale import session_value
from tokgate.report.html.blocks import Figure
from tokgate.report.html.figures.base import UNITS, axis, figure, text
from tokgate.report.units import text_of
from tokgate.session import Better

HEIGHT_PX = 280
_WIDTH = 0.5
_MOST_TICKS = 8


@dataclass(frozen=True)
class Night:
    """One session of the row: a value a launch. `standing`: "accepted", "measured" or "invalid"."""

    session: str
    started: str
    standing: str
    launches: tuple[float, ...]


_LOOKS = {
    "accepted": ("accepted", "diamond-open", "@muted"),
    "measured": ("measured", "circle", "@accent"),
    "invalid": ("not valid", "x-thin-open", "@invalid"),
}


def history(nights: Sequence[Night], unit: str, better: Better) -> Figure:
    """`nights` in their order."""
    data = [trace for standing in _LOOKS for trace in _traces(nights, standing, unit, better) if trace["x"]]
    every = max(1, -(-len(nights) // _MOST_TICKS))
    ticks = range(0, len(nights), every)
    return figure(
        data,
        HEIGHT_PX,
        showlegend=True,
        xaxis=axis(
            tickvals=list(ticks),
            ticktext=[text(nights[tick].started[5:16].replace("T", " ")) for tick in ticks],
            range=[-0.7, len(nights) - 0.3],
            showgrid=False,
        ),
        yaxis=axis(**UNITS.get(unit, {})),
    )


def _traces(nights: Sequence[Night], standing: str, unit: str, better: Better) -> list[Figure]:
    name, symbol, color = _LOOKS[standing]
    chosen = [(place, night) for place, night in enumerate(nights) if night.standing == standing and night.launches]
    dots = [
        (place + _offset(number, len(night.launches)), value, _hover(night, value, unit, f"launch {number + 1}"))
        for place, night in chosen
        for number, value in enumerate(night.launches)
    ]
    line = {"type": "scatter", "mode": "lines", "showlegend": False, "line": {"color": color, "width": 2.5}, "x": [],
            "y": [], "hoverinfo": "skip"}  # fmt: skip
    for place, night in chosen:
        value = session_value([[launch] for launch in night.launches], better)
        line["x"] += [place - _WIDTH / 2 - 0.08, place + _WIDTH / 2 + 0.08, None]  # type: ignore[operator]  # a list
        line["y"] += [value, value, None]  # type: ignore[operator]  # a list
    return [line, {
        "type": "scatter", "mode": "markers", "name": name,
        "x": [x for x, _, _ in dots], "y": [y for _, y, _ in dots], "text": [hover for _, _, hover in dots],
        "marker": {"symbol": symbol, "size": 8, "color": color, "line": {"width": 1.5, "color": color}},
        "hovertemplate": "%{text}<extra></extra>",
    }]  # fmt: skip


def _hover(night: Night, value: float, unit: str, what: str) -> str:
    return f"<b>{text(night.session)}</b><br>{what}, {night.standing}: {text_of(value, unit)}"


def _offset(number: int, launches: int) -> float:
    return 0.0 if launches < 2 else _WIDTH * (number / (launches - 1) - 0.5)
