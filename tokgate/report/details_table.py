"""`tokgate report` on a terminal: by group and scenario what stands beside the speed. 100 columns suffice."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tokgate import tomltext
from tokgate.gate.achieved import ARITHMETIC, si
from tokgate.report.details import Details, details, launches_of
from tokgate.report.figures import scenarios_by_group
from tokgate.report.starts import starts_text
from tokgate.report.units import share_text, text_of
from tokgate.roofline import peaks_of
from tokgate.session import Session

_WIDTH = 100
_REASONS_SHOWN = 3


@dataclass(frozen=True)
class _Column:
    """`text`: what a row has there; empty where it has nothing. `legend`: what the name does not say."""

    name: str
    text: Callable[[Details], str]
    legend: str = ""


def _or_empty(value: float | None, form: Callable[[float], str]) -> str:
    return "" if value is None else form(value)


def _share(value: float | None) -> str:
    return _or_empty(value, share_text)


def _plain(value: float | None) -> str:
    return "" if value is None else text_of(value, "")


def _count(tokens: int) -> str:
    for factor, letter in ((10**6, "M"), (10**3, "k")):
        if tokens >= factor:
            return f"{tokens / factor:.3g}{letter}"
    return str(tokens)


def _cache(row: Details) -> str:
    """In tokens where they are known: a server tells a share."""
    use = row.cache
    if use is None:
        return _share(row.cache_share)
    return f"{'?' if use.peak_tokens is None else _count(use.peak_tokens)}/{_count(use.tokens)}"


_COLUMNS = (
    _Column("tok/s", lambda row: _plain(row.tok_s)),
    _Column(
        "decode at",
        lambda row: f"{_share(row.decode_share)} {row.decode_bound or ''}".strip(),
        "decode at: the least time of a step by its bytes, operations and this machine's peaks, as a share of\n"
        "its time, and what limits it: memory, compute, or overhead (launches and waits)",
    ),
    _Column("J/tok", lambda row: _or_empty(row.energy_j, lambda value: f"{value:.3g}")),
    _Column("GPU", lambda row: _share(row.gpu_share), "GPU, W: of rounds of a second and more"),
    _Column("W", lambda row: _plain(row.power_w)),
    _Column("memory", lambda row: _or_empty(row.memory_bytes, lambda value: text_of(value, "B"))),
    _Column("KV tokens", _cache, "KV tokens: most in use at once, in whole blocks / allocated; of a server the share"),
    _Column("preempt", lambda row: _plain(row.preemptions or None), "preempt: requests set back, a round"),
    _Column("prefix", lambda row: _share(row.prefix_hits), "prefix: prompt tokens found in the KV cache"),
    _Column("spec", lambda row: _share(row.accepted), "spec: share of the drafted tokens that was right"),
    _Column("CPU/tok", lambda row: _or_empty(row.cpu_s, lambda value: text_of(value, "s"))),
)


def print_details(session: Session) -> None:
    """Prints a session's details to standard output."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    console.print(render_details(session))


def render_details(session: Session) -> RenderableType:
    """A table a group, all with the same columns: those that any row has."""
    groups = {
        group: details(session, group, scenarios) for group, scenarios in scenarios_by_group(session.rows).items()
    }
    columns = [column for column in _COLUMNS if any(column.text(row) for rows in groups.values() for row in rows)]
    parts: list[RenderableType] = list(_heading(session))
    for group, rows in groups.items():
        started = starts_text(launches_of(session, group))
        parts.append(Text.assemble((group, "bold"), (f"  {started}" if started else "", "dim")))
        parts.append(_table(group, rows, columns))
    parts += [Text(column.legend, style="dim") for column in columns if column.legend]
    return Group(*parts)


def _heading(session: Session) -> list[Text]:
    lines = [Text(f"{session.id}: {session.machine_id}, profile {session.profile}", style="bold")]
    if session.given:
        given = tomltext.pairs(session.given)
        lines.append(Text(f"measured with {given}, which the rows' ids do not say", style="yellow"))
    peaks = peaks_of(session.machine)
    if peaks is not None:
        arithmetic = f"{ARITHMETIC[session.machine_kind]}, a yardstick for other precisions"
        reached = f"{si(peaks.read_bytes_s, 'B/s')} read, {si(peaks.flop_s, 'FLOP/s')} in {arithmetic}"
        lines.append(Text(f"the machine itself: {reached}", style="dim"))
    shown = session.reasons[:_REASONS_SHOWN]
    lines += [Text(f"INVALID: {reason}", style="bold red") for reason in shown]
    if len(session.reasons) > len(shown):
        lines.append(Text(f"  and {len(session.reasons) - len(shown)} more", style="bold red"))
    return lines


def _table(group: str, rows: Sequence[Details], columns: Sequence[_Column]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("", min_width=13, no_wrap=True)
    for column in columns:
        table.add_column(Text(column.name), justify="right", no_wrap=True, header_style="dim")
    for row in rows:
        table.add_row(Text(row.scenario.removeprefix(f"{group}.")), *(Text(column.text(row)) for column in columns))
    return table
