"""The roofline: how much arithmetic a step does for each byte it reads, how fast it did it, and the machine's limits.

Williams, Waterman and Patterson 2009, CACM 52(4); what a step reads and computes: tokgate/roofline.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tokgate.gate.achieved import ARITHMETIC
from tokgate.report.html.blocks import Figure
from tokgate.report.html.data import RowFacts, SessionFacts, short_names
from tokgate.report.html.figures.base import SERIES, figure, text
from tokgate.report.html.figures.ticks import value_axis
from tokgate.report.units import text_of
from tokgate.roofline import Peaks, Step, bound, floor_s, peaks_of, step_of

_PARTS = {"decode": ("tpot", "circle"), "prefill": ("ttft", "diamond-open")}
_TERA, _GIGA = (1e12, "TFLOP/s"), (1e9, "GFLOP/s")


@dataclass(frozen=True)
class _Point:
    row: RowFacts
    part: str
    step: Step

    @property
    def intensity(self) -> float:
        """FLOP a byte."""
        return self.step.flop / self.step.read_bytes

    @property
    def flop_s(self) -> float:
        return self.step.flop / self.row.value


def roofline(facts: SessionFacts) -> Figure | None:
    """None where no row's work is known. Without the machine's own peaks the points stand alone."""
    points = list(_points(facts))
    if not points:
        return None
    peaks = peaks_of(facts.session.machine)
    names = short_names(point.row.group for point in points)
    fastest = max([*(point.flop_s for point in points), *([peaks.flop_s] if peaks else [])])
    scale, unit = _TERA if fastest >= _TERA[0] else _GIGA
    limits = f"the machine's own limits, {ARITHMETIC.get(facts.session.machine_kind, '')}"
    data = [_roof(points, peaks, scale, limits)] if peaks else []
    for place, group in enumerate(names):
        for part, (_, symbol) in _PARTS.items():
            mine = [point for point in points if point.row.group == group and point.part == part]
            if mine:
                name = f"{text(names[group])} {part}"
                data.append(_group(mine, name, SERIES[place % len(SERIES)], symbol, peaks, scale))
    return figure(
        data,
        460,
        showlegend=True,
        xaxis=value_axis("arithmetic for each byte read, FLOP/B", _drawn(data, "x")),
        yaxis=value_axis(unit, _drawn(data, "y")),
    )


def _drawn(data: Sequence[Figure], side: str) -> list[float]:
    return [value for trace in data for value in trace[side]]


def _points(facts: SessionFacts) -> Iterator[_Point]:
    works = facts.session.telemetry.get("work")
    for row in facts.rows:
        for part, (metric, _) in _PARTS.items():
            if row.row.metric == metric and isinstance(works, Mapping):
                step = step_of(works.get(row.row.scenario), part)
                if step is not None:
                    yield _Point(row, part, step)


def _roof(points: list[_Point], peaks: Peaks, scale: float, name: str) -> Figure:
    ridge = peaks.flop_s / peaks.read_bytes_s
    low = min(ridge, *(point.intensity for point in points)) / 2
    high = max(ridge, *(point.intensity for point in points)) * 2
    return {
        "type": "scatter", "mode": "lines", "name": name,
        "x": [low, ridge, high], "y": [low * peaks.read_bytes_s / scale, peaks.flop_s / scale, peaks.flop_s / scale],
        "line": {"color": "@axis", "width": 2}, "hoverinfo": "skip",
    }  # fmt: skip


def _group(points: list[_Point], name: str, color: str, symbol: str, peaks: Peaks | None, scale: float) -> Figure:
    return {
        "type": "scatter", "mode": "markers", "name": name,
        "x": [point.intensity for point in points], "y": [point.flop_s / scale for point in points],
        "marker": {"symbol": symbol, "size": 9, "color": color, "line": {"width": 1.5, "color": color}},
        "text": [_hover(point, peaks) for point in points], "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def _hover(point: _Point, peaks: Peaks | None) -> str:
    seconds = point.row.value
    lines = [f"<b>{text(point.row.row.scenario)}</b>", f"{point.part} in {text_of(seconds, 's')}"]
    if peaks:
        share = floor_s(point.step, peaks) / seconds
        lines.append(f"{share:.0%} of the machine; limited by {bound(point.step, seconds, peaks)}")
    return "<br>".join(lines)
