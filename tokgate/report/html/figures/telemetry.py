"""What the machine did, round by round: GPU, power, clock, and who used the cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tokgate.report.html.blocks import Figure
from tokgate.report.html.data import RoundFacts
from tokgate.report.html.figures.base import axis, figure, text
from tokgate.report.units import text_of

_PANEL_PX = 118
# Of a panel's share of the height this is left free above it, for its name.
_GAP = 0.24


@dataclass(frozen=True)
class _Panel:
    title: str
    value: Callable[[RoundFacts], float | None]
    from_zero: bool = True
    suffix: str = ""


_PANELS = (
    _Panel("GPU use", lambda told: None if told.gpu_share is None else 100 * told.gpu_share, suffix="%"),
    _Panel("GPU power", lambda told: told.power_w, suffix=" W"),
    _Panel("GPU clock", lambda told: told.clock_mhz, from_zero=False, suffix=" MHz"),
    _Panel("KV cache", lambda told: None if told.kv_share is None else 100 * told.kv_share, suffix="%"),
    _Panel("cores that the engine used", lambda told: told.cores),
    _Panel("cores that others used", lambda told: told.foreign_cores),
)


def telemetry(rounds: Sequence[RoundFacts]) -> Figure | None:
    """One group's rounds end to end, a panel for each figure that any of them has; None where none has any."""
    panels = [panel for panel in _PANELS if any(panel.value(told) is not None for told in rounds)]
    if not panels:
        return None
    spans = _spans(rounds)
    data = []
    layout = {}
    for place, panel in enumerate(panels):
        name = "y" if place == 0 else f"y{place + 1}"
        data += [_trace(rounds, spans, panel, name, disturbed) for disturbed in (False, True)]
        top, bottom = 1 - place / len(panels), 1 - (place + 1) / len(panels)
        layout[f"yaxis{name[1:]}"] = axis(
            domain=[bottom, top - _GAP * (top - bottom)], ticksuffix=panel.suffix, nticks=4,
            **({"rangemode": "tozero"} if panel.from_zero else {}),
        )  # fmt: skip
    return figure(
        [trace for trace in data if trace["x"]],
        _PANEL_PX * len(panels) + 60,
        xaxis=axis("seconds inside rounds", anchor=f"y{len(panels)}" if len(panels) > 1 else "y", rangemode="tozero"),
        annotations=[_name(panel.title, place, len(panels)) for place, panel in enumerate(panels)],
        shapes=_launches(rounds, spans),
        **layout,
    )


def _spans(rounds: Sequence[RoundFacts]) -> list[tuple[float, float]]:
    spans = []
    at = 0.0
    for told in rounds:
        spans.append((at, at + told.seconds))
        at += told.seconds
    return spans


def _trace(
    rounds: Sequence[RoundFacts], spans: Sequence[tuple[float, float]], panel: _Panel, name: str, disturbed: bool
) -> Figure:
    """A bar from a round's start to its end, at its mean."""
    x: list[float | None] = []
    y: list[float | None] = []
    words: list[str | None] = []
    for told, (start, end) in zip(rounds, spans, strict=True):
        value = panel.value(told)
        if value is not None and (told.disturbed is not None) is disturbed:
            hover = _hover(told, panel, value)
            x += [start, (start + end) / 2, end, None]
            y += [value, value, value, None]
            words += [hover, hover, hover, None]
    color = "@regressed" if disturbed else "@accent"
    return {
        "type": "scatter", "mode": "lines+markers" if disturbed else "lines", "x": x, "y": y, "text": words,
        "yaxis": name, "line": {"color": color, "width": 3},
        "marker": {"symbol": "x", "size": 7, "color": color}, "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def _hover(told: RoundFacts, panel: _Panel, value: float) -> str:
    lines = [
        f"<b>{text(told.scenario)}</b>",
        f"launch {told.launch}, round {told.number}, {text_of(told.seconds, 's')}",
        f"{panel.title}: {value:.3g}{panel.suffix}",
    ]
    if told.disturbed is not None:
        lines.append(f"discarded: {text(told.disturbed)}")
    return "<br>".join(lines)


def _name(title: str, place: int, panels: int) -> Figure:
    return {
        "xref": "paper", "x": 0, "xanchor": "left", "yref": "paper", "y": 1 - place / panels, "yanchor": "top",
        "text": title, "showarrow": False, "font": {"size": 12},
    }  # fmt: skip


def _launches(rounds: Sequence[RoundFacts], spans: Sequence[tuple[float, float]]) -> list[Figure]:
    """A line where a launch begins."""
    starts = [
        start
        for before, told, (start, _) in zip(rounds, rounds[1:], spans[1:], strict=False)
        if told.launch != before.launch
    ]
    return [
        {"type": "line", "xref": "x", "x0": start, "x1": start, "yref": "paper", "y0": 0, "y1": 1, "layer": "below",
         "line": {"color": "@axis", "width": 1, "dash": "dot"}}
        for start in starts
    ]  # fmt: skip
