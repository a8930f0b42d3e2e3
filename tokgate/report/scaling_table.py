"""Scaling over GPUs in the terminal: a line a row shape, tok/s, speed-up with its interval, efficiency, TPOT."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from tokgate.gate.change import Change
from tokgate.report.ladder_table import factor
from tokgate.report.scaling import Line, Scaling, Scalings
from tokgate.report.scaling_sides import Measured
from tokgate.report.units import text_of

# Where the output is no terminal.
_WIDTH = 80
# More would not fit beside their times a token.
_SIDES_WITH_TPOT = 2
_SPEED_UP = "speed-up"


def print_scalings(found: Scalings) -> None:
    """Prints the tables to standard output."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    console.print(render_scalings(found))


def render_scalings(found: Scalings) -> RenderableType:
    """Each table with its conditions and sessions above it, its notes below; at the end what is in none."""
    parts: list[RenderableType] = []
    for each in found.tables:
        parts += [
            Text(f"{each.base} on more GPUs: {each.conditions}", style="bold"),
            *(Text(f"TP {gpus}: {_sessions(side)}", style="dim") for gpus, side in each.sides.items()),
            _table(each),
            Text(_legend(each), style="dim"),
            *(Text(note, style="dim") for note in each.notes),
            Text(""),
        ]
    parts += [Text(reason, style="yellow") for reason in found.told]
    return Group(*parts)


def _sessions(side: Sequence[Measured]) -> str:
    """How many, on which machines and days; the name of a single one."""
    machines = ", ".join(dict.fromkeys(each.session.machine_id for each in side))
    if len(side) == 1:
        return f"{side[0].session.id} on {machines}"
    days = dict.fromkeys(each.session.started[:10] for each in (side[0], side[-1]))
    return f"{len(side)} sessions on {machines}, {' to '.join(days)}"


def _legend(each: Scaling) -> str:
    share = "/ GPUs" if each.fewest == 1 else f"* {each.fewest} / GPUs"
    return f"Speed-up over TP {each.fewest} with its 95% interval; efficiency: speed-up {share}."


def _table(each: Scaling) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    # Where a server's long name leaves too little room the name is broken, never a figure.
    table.add_column("", overflow="fold")
    for header in _headers(each):
        # A speed-up stands before its interval: figures below each other, whether it has one or not.
        side: JustifyMethod = "left" if header.endswith(_SPEED_UP) else "right"
        table.add_column(Text(header), justify=side, no_wrap=True, header_style="dim")
    for line in each.lines:
        table.add_row(Text(line.label), *_cells(each, line))
    return table


def _headers(each: Scaling) -> Iterator[str]:
    for gpus in each.sides:
        yield f"TP {gpus}\ntok/s"
    for gpus in list(each.sides)[1:]:
        yield f"TP {gpus}\n{_SPEED_UP}"
        yield "\neff."
    if len(each.sides) <= _SIDES_WITH_TPOT:
        for gpus in each.sides:
            yield f"TP {gpus}\nTPOT"


def _cells(each: Scaling, line: Line) -> Iterator[str]:
    for gpus in each.sides:
        yield text_of(line.speeds[gpus], "") if gpus in line.speeds else ""
    for gpus in list(each.sides)[1:]:
        change = line.changes.get(gpus)
        if change is None:
            yield from ("", "")
        else:
            yield from (f"{factor(change)} {_bounds(change)}", f"{each.efficiency(line, gpus):.0%}")
    if len(each.sides) <= _SIDES_WITH_TPOT:
        for gpus in each.sides:
            yield text_of(line.tpots_s[gpus], "s") if gpus in line.tpots_s else ""


def _bounds(change: Change) -> str:
    """To the hundredth, as the factor: what a percent is of a scaling of 3 is not seen with one digit."""
    if change.interval is None:
        return ""
    low, high = change.interval
    return f"{low:.2f}-{high:.2f}" if high < 10 else f"{low:.2f}-10+"
