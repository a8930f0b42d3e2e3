"""An optimisation ladder in the terminal: what each step gave, and its change against the one before and the first."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tokgate.gate.change import Change
from tokgate.report.ladder import METRICS, Climb, Rung
from tokgate.report.units import text_of

# Where the output is no terminal.
_WIDTH = 80
_LEGEND = (
    "A change of 2x is twice the tokens a second, or half the time or memory; below 1 is worse.\n"
    "Under it the 95% interval, by launches."
)


def print_ladder(climb: Climb) -> None:
    """Prints the ladder to standard output."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    console.print(render_ladder(climb))


def render_ladder(climb: Climb) -> RenderableType:
    """Values, changes against the step before, changes against the first; below them why steps are missing."""
    parts: list[RenderableType] = [
        Text(f"{climb.title}: {climb.model} on {climb.machine}", style="bold"),
        _values(climb),
        Text("against the step before", style="bold"),
        _changes(climb, before=True),
        Text("against the first step", style="bold"),
        _changes(climb, before=False),
        Text(_LEGEND, style="dim"),
    ]
    for rung in climb.rungs:
        parts += [Text(f"{rung.step.name}: {line}", style="yellow") for line in told(rung)]
    parts += [Text(note, style="dim") for note in climb.notes]
    return Group(*parts)


def told(rung: Rung) -> list[str]:
    """What is to be said of a step beside its figures."""
    if rung.standing == "measured":
        return list(rung.why)
    reason, *rest = rung.why
    return [f"{rung.standing}: {reason}", *rest]


def agreement(rung: Rung) -> str:
    """How often the step's outputs are those of the FP32 reference."""
    return "" if rung.accuracy is None else f"{rung.accuracy.top1_agreement:.0%}"


def factor(change: Change) -> str:
    return f"{change.factor:.0f}x" if change.factor >= 10 else f"{change.factor:.2f}x"


def bounds(change: Change) -> str:
    """The interval, without the sign of a factor; empty where there is none."""
    if change.interval is None:
        return ""
    low, high = change.interval
    digits = 0 if low >= 10 else 1 if low >= 2 else 2
    return f"{low:.{digits}f}-{high:.{digits}f}"


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("", no_wrap=True, min_width=18)
    for column in columns:
        table.add_column(Text(column), justify="right", no_wrap=True, header_style="dim")
    return table


def _values(climb: Climb) -> Table:
    table = _table(*METRICS, "top-1")
    for number, rung in enumerate(climb.rungs, 1):
        name = Text(f"{number} {rung.step.name}")
        if rung.standing == "measured":
            table.add_row(name, *(_value(rung, column) for column in METRICS), agreement(rung))
        else:
            table.add_row(name, Text(rung.standing, style="yellow"))
    return table


def _value(rung: Rung, column: str) -> str:
    value = rung.value(column)
    if value is None:
        return ""
    return text_of(value, "" if column == "tok/s" else rung.rows[column].unit)


def _changes(climb: Climb, before: bool) -> Table:
    table = _table(*METRICS)
    for number, rung in enumerate(climb.rungs[1:], 2):
        changes: Mapping[str, Change] = rung.before if before else rung.first
        cells = [changes.get(column) for column in METRICS]
        table.add_row(Text(f"{number} {rung.step.name}"), *("" if cell is None else factor(cell) for cell in cells))
        if any(cell is not None and cell.interval for cell in cells):
            table.add_row("", *(Text("" if cell is None else bounds(cell), style="dim") for cell in cells))
    return table
