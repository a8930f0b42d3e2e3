"""What `tokgate accept` changed, for who reviews and commits it: a line a row, its gated metrics before and now.

What is not gated stands below its row where it moved by more than its margin, or all of it where that is asked for.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.text import Text

from tokgate.gate.acceptance import Change, ValueChange
from tokgate.gate.comparison import MAX_SESSIONS
from tokgate.gate.defaults import default_thresholds
from tokgate.gate.ruling import ENOUGH_SESSIONS
from tokgate.gate.scale import in_words, signed_text
from tokgate.report.figures import scenarios_by_group
from tokgate.report.html.figures.base import metric_name
from tokgate.report.units import from_to, text_of
from tokgate.report.words import count
from tokgate.session import Session

# Of lines of words where the output is no terminal, and the widest that is pleasant to read in one.
_WIDTH = 100
_WORSE, _BETTER = "yellow", "green"
_LEGEND = "means over the accepted sessions, before -> now; worse by: + is worse"
_MORE = "not gated: told where it moved by more than its margin; all with --verbose"
_FEW = f"of fewer than {ENOUGH_SESSIONS} accepted sessions a baseline is provisional: accept more nights"


def print_changes(changes: Sequence[Change], sessions: Sequence[Session], verbose: bool = False) -> None:
    """Prints to standard output what accepting `sessions` changed; `verbose`: every metric of every row."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    width = min(console.width, _WIDTH)
    # A figure that was cut off would be worse than a line that the terminal breaks.
    console.print(render_changes(changes, sessions, verbose, width), crop=False)


def render_changes(
    changes: Sequence[Change], sessions: Sequence[Session], verbose: bool = False, width: int = _WIDTH
) -> RenderableType:
    """Machines and profiles apart, each by group, groups and rows in the order of the sessions' rows."""
    layout = Layout.of(changes, width)
    parts: list[RenderableType] = []
    for machine_id, profile in dict.fromkeys((change.machine_id, change.profile) for change in changes):
        own = [change for change in changes if (change.machine_id, change.profile) == (machine_id, profile)]
        of_them = [each for each in sessions if (each.machine_id, each.profile) == (machine_id, profile)]
        parts.append(_line([f"{own[0].path.parent}, profile {profile}"], style="bold"))
        margins = Margins(of_them[0].machine_kind)
        for group, found in by_group(own, of_them).items():
            parts += _group_lines(group, found, layout, margins, verbose)
    written = [change for change in changes if change.written]
    values = [value for change in written for value in change.values]
    few = any(change.sessions < ENOUGH_SESSIONS for change in written)
    parts += [Text(_LEGEND, style="dim")] if any(value.before is not None for value in values) else []
    parts += [Text(_MORE, style="dim")] if any(not value.gated for value in values) and not verbose else []
    parts += [Text(_FEW, style="yellow")] if few else []
    return Group(*parts)


def by_group(changes: Iterable[Change], sessions: Iterable[Session]) -> dict[str, list[Change]]:
    """Group id -> what was changed of it, as the tables of these sessions have groups and rows."""
    left = {change.scenario: change for change in changes}
    groups = scenarios_by_group(row for session in sessions for row in session.rows)
    found = {group: [left.pop(name) for name in names if name in left] for group, names in groups.items()}
    return {group: own for group, own in found.items() if own}


@dataclass(frozen=True)
class Margins:
    """What is much on a machine of `kind`, "cpu" or "gpu"."""

    kind: str

    def beyond(self, value: ValueChange) -> bool:
        """Whether a mean moved by more than its margin, to either side."""
        default = default_thresholds(self.kind, value.metric).margin_pct
        margin_pct = default if value.margin_pct is None else value.margin_pct
        return value.change_pct is not None and abs(value.change_pct) > margin_pct

    def style(self, value: ValueChange) -> str:
        if value.change_pct is None or not self.beyond(value):
            return ""
        return _WORSE if value.change_pct > 0 else _BETTER


@dataclass(frozen=True)
class Cell:
    """A metric of a row: "517", "525", "-1.5%"; without a `before`, "new" where others of the metric have one."""

    before: str
    now: str
    change: str

    @classmethod
    def of(cls, value: ValueChange) -> Cell:
        if value.before is None or value.change_pct is None:
            return cls("", text_of(value.after, value.unit).removesuffix(" tok/s"), "new")
        before, now = (text.removesuffix(" tok/s") for text in from_to(value.before, value.after, value.unit))
        return cls(before, now, f"{signed_text(value.change_pct)}%")


@dataclass(frozen=True)
class Column:
    """A gated metric with the widths of the parts of its cells; `before` is 0 where none had an accepted session."""

    heading: str
    before: int
    now: int
    change: int

    @classmethod
    def of(cls, metric: str, cells: Sequence[Cell]) -> Column:
        before = max(len(cell.before) for cell in cells)
        return cls(
            f"{metric_name(metric)}, worse by" if before else metric_name(metric),
            before,
            max(len(cell.now) for cell in cells),
            max(len(cell.change) for cell in cells) if before else 0,
        )

    @property
    def width(self) -> int:
        return max(len(self.heading), len(self.text(Cell("", "", ""))))

    def text(self, cell: Cell) -> str:
        if not self.before:
            return cell.now.rjust(self.now)
        arrow = " -> " if cell.before else "    "
        return f"{cell.before:>{self.before}}{arrow}{cell.now:<{self.now}} {cell.change:>{self.change}}"

    def padded(self, text: str) -> str:
        """Single figures stand below each other at their right ends, as their heading does."""
        return text.ljust(self.width) if self.before else text.rjust(self.width)


@dataclass(frozen=True)
class Layout:
    """Columns alike in all groups, by metric, and how wide a line of words may be."""

    columns: Mapping[str, Column]
    width: int

    @classmethod
    def of(cls, changes: Iterable[Change], width: int) -> Layout:
        cells: dict[str, list[Cell]] = {}
        for value in (value for change in changes if change.written for value in change.values if value.gated):
            cells.setdefault(value.metric, []).append(Cell.of(value))
        return cls({metric: Column.of(metric, found) for metric, found in cells.items()}, width)


def _group_lines(
    group: str, changes: Sequence[Change], layout: Layout, margins: Margins, verbose: bool
) -> Iterator[Text]:
    facts = [_facts(change) for change in changes]
    alike = len(set(facts)) == 1
    yield _line([Text(group, style="bold"), Text(facts[0] if alike else "", style="dim")])
    shown = {value.metric for change in changes if change.written for value in change.values if value.gated}
    columns = {metric: column for metric, column in layout.columns.items() if metric in shown}
    names = [change.scenario.removeprefix(f"{group}.") for change in changes]
    width = max(map(len, names))
    if columns:
        yield _line([" " * width, *(column.padded(column.heading) for column in columns.values())], style="dim")
    for name, change, told in zip(names, changes, facts, strict=True):
        if change.written or not alike:
            yield _row(name.ljust(width), change, columns, margins, "" if alike else told)
        if change.written:
            yield from _ungated(change, layout.width, margins, verbose)


def _row(name: str, change: Change, columns: Mapping[str, Column], margins: Margins, told: str) -> Text:
    values = {value.metric: value for value in change.values} if change.written else {}
    parts: list[str | Text] = [name]
    for metric, column in columns.items():
        value = values.get(metric)
        if value is None or not value.gated:
            parts.append(column.padded(""))
        else:
            parts.append(Text(column.padded(column.text(Cell.of(value))), style=margins.style(value)))
    return _line([*parts, Text(told, style="dim")])


def _line(parts: Sequence[str | Text], style: str = "") -> Text:
    """Parts of a line that is not broken between its words."""
    line = Text("  ").join(Text(part) if isinstance(part, str) else part for part in parts)
    line.rstrip()
    line.no_wrap, line.overflow, line.style = True, "ignore", style
    return line


def _ungated(change: Change, width: int, margins: Margins, verbose: bool) -> Iterator[Text]:
    values = [value for value in change.values if not value.gated]
    if verbose:
        longest = max((len(metric_name(value.metric)) for value in values), default=0)
        for value in values:
            yield Text(f"  {metric_name(value.metric):<{longest}}  {_in_words(value)}", style=margins.style(value))
        return
    moved = [f"{metric_name(value.metric)} {_in_words(value)}" for value in values if margins.beyond(value)]
    told = f"  not gated: {'; '.join(moved)}" if moved else ""
    yield from map(
        Text, textwrap.wrap(told, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    )


def _in_words(value: ValueChange) -> str:
    if value.before is None or value.change_pct is None:
        return f"{text_of(value.after, value.unit)}, new"
    return f"{' -> '.join(from_to(value.before, value.after, value.unit))}, {in_words(value.change_pct)}"


def _facts(change: Change) -> str:
    """How many sessions came and went, and how many there are now to be judged by; which of them are not."""
    parts = [
        f"{len(ids)} {what}"
        for ids, what in (
            (change.skipped, "already there"),
            (change.outdated, f"older than the newest {MAX_SESSIONS}"),
            (change.dropped, "dropped"),
        )
        if ids
    ]
    apart = [f"{each} of {facts} {'stays' if each == 1 else 'stay'} apart" for facts, each in change.apart.items()]
    came = ", ".join([f"{len(change.added)} added", *parts])
    return "; ".join([came, count(change.sessions, "accepted session"), *apart])
