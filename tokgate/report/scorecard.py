"""The score card on a terminal; 80 columns suffice."""

from __future__ import annotations

import math
import sys

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from tokgate.gate.scorecard import ScoreCard, ratio_to_floor, score_cards
from tokgate.gate.verdict import LimitVerdict, Outcome, SessionVerdict
from tokgate.report.units import digits_apart

_ABBREVIATIONS = ("ttft", "tpot", "itl", "e2el", "p99", "p90", "p50")
_BOUNDS = {"min": "at least", "max": "at most", "reference": "reference"}
_COLUMNS: tuple[tuple[str, int, JustifyMethod], ...] = (
    ("", 17, "left"), ("value", 17, "right"), ("bound", 21, "left"), ("weight", 6, "right"), ("", 6, "left"),
    ("of floor", 8, "right"),
)  # fmt: skip


def print_score_cards(verdict: SessionVerdict) -> None:
    """Prints a judged session's score cards to standard output, where its limits have weights."""
    card = render_score_cards(verdict)
    if card is not None:
        Console(highlight=False, width=None if sys.stdout.isatty() else 100).print(card)


def render_score_cards(verdict: SessionVerdict) -> RenderableType | None:
    """None where there is nothing to score. Of what cannot be believed nothing counts as kept."""
    cards = score_cards(verdict.limits)
    if not cards:
        return None
    if verdict.outcome is Outcome.INVALID:
        return Text("no score card: an invalid result keeps nothing", style="bold red")
    return Group(*(_card(card) for card in cards))


def _card(card: ScoreCard) -> RenderableType:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name, width, side in _COLUMNS:
        table.add_column(Text(name), width=width, justify=side, no_wrap=True, header_style="dim")
    for line in card.lines:
        table.add_row(
            label(line.metric),
            _value(line),
            f"{_BOUNDS[line.bound]} {line.limit:,.6g} {line.unit}",
            "" if line.weight_pct is None else f"{line.weight_pct:g}%",
            _state(line),
            _ratio(line),
        )
    style = "bold green" if card.kept_pct == card.weighed_pct else "bold red"
    parts: list[RenderableType] = [Text(f"score card of {card.scenario}", style="bold"), table]
    parts.append(Text(f"kept {card.kept_pct:g}% of the {card.weighed_pct:g}% that figures decide", style=style))
    rest = 100 - card.weighed_pct
    if rest > 0:
        parts.append(Text(f"the other {rest:g}% is for code quality, which no measurement has", style="dim"))
    return Group(*parts)


def label(metric: str) -> str:
    """A metric as tables head it: "p99_ttft" -> "P99 TTFT"."""
    return " ".join(word.upper() if word in _ABBREVIATIONS else word for word in metric.split("_"))


def _value(line: LimitVerdict) -> str:
    """With as many digits as show on which side of the bound it is."""
    if line.value is None:
        return "not measured"
    return f"{line.value:,.{digits_apart(line.value, line.limit)}g} {line.unit}"


def _state(line: LimitVerdict) -> Text:
    if line.bound == "reference":
        return Text("")
    return Text("BROKEN", style="bold red") if line.broken else Text("kept", style="green")


def _ratio(line: LimitVerdict) -> str:
    ratio = ratio_to_floor(line) if line.metric.endswith("throughput") else None
    # Rounded down: what is below its floor must not read 1.000x.
    return "" if ratio is None else f"{math.floor(ratio * 1000) / 1000:.3f}x"
