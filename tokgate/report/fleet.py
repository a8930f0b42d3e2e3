"""The table of a fleet: node, machine, outcome, worst row, against its peers; below it what must be read beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tokgate.fleet.node import NodeReport
from tokgate.fleet.peers import LEAST_PEERS, Standing
from tokgate.gate.verdict import Outcome, RowVerdict, to_json
from tokgate.report.rows_table import worst
from tokgate.report.words import regressions, reservations

_STYLES = {Outcome.PASS: "green", Outcome.FAIL: "bold red", Outcome.INVALID: "bold red"}
_TAIL_LINES = 15


def print_fleet(reports: Sequence[NodeReport], standings: Mapping[str, Standing]) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in ("node", "machine", "outcome", "worst row", "against peers"):
        table.add_column(Text(name), header_style="dim", overflow="fold")
    for report in reports:
        outcome = report.verdict.outcome
        table.add_row(
            report.name,
            report.session.machine_id if report.session else "",
            Text(str(outcome), style=_STYLES.get(outcome, "yellow")),
            Text(_worst_row(report)),
            Text(_against_peers(standings.get(report.name))),
        )
    console.print(table)
    for line in lines_below(reports, standings):
        console.print(Text(line))


def lines_below(reports: Sequence[NodeReport], standings: Mapping[str, Standing]) -> Iterator[str]:
    """Which nodes are slower than their peers, and of each node why it did not pass."""
    yield from (_slower(name, standing) for name, standing in standings.items() if standing.slower)
    for report in reports:
        lines = [*_whys(report), *(f"note: {note}" for note in (*report.notes, *report.verdict.notes))]
        if lines:
            yield f"{report.name}:"
            yield from (f"  {line}" for told in lines for line in told.splitlines())
        if report.path is not None:
            yield f"{report.name}: session {report.path}"


def to_json_line(report: NodeReport, standing: Standing | None) -> dict[str, Any]:
    """What `tokgate judge --json` says of the session, with the node and how it stands among its peers."""
    peers = None
    if standing is not None:
        peers = {
            "peers": standing.peers,
            "rows": standing.rows,
            "change_pct": standing.change_pct,
            "named_from_pct": standing.named_from_pct,
            "slower": standing.slower,
        }
    machine = report.session.machine_id if report.session else None
    notes = [*report.notes, *report.verdict.notes]
    return {"node": report.name, "machine": machine, **to_json(report.verdict), "notes": notes, "peers": peers}


def _whys(report: NodeReport) -> Iterator[str]:
    yield from report.verdict.reasons
    if report.judged is not None:
        yield from regressions(report.judged.session, report.verdict, report.judged.baselines)
        yield from reservations(report.verdict)
    if report.verdict.outcome is Outcome.INVALID and report.answer is not None and report.answer.tail:
        yield "the last it printed:"
        yield from (f"| {line}" for line in report.answer.tail.splitlines()[-_TAIL_LINES:])


def _worst_row(report: NodeReport) -> str:
    """The gravest verdict; of equal ones the row that is most worse."""
    if report.verdict.outcome is Outcome.INVALID:
        return ""
    gravest = worst(report.verdict.rows)
    if gravest is None:
        return ""
    alike = [row for row in report.verdict.rows if row.gated and row.verdict is gravest.verdict]
    row = max(alike, key=_change)
    change = "" if row.change_pct is None else f" {row.change_pct:+.1f}%"
    return f"{row.scenario} {row.metric}{change}"


def _change(row: RowVerdict) -> float:
    return float("-inf") if row.change_pct is None else row.change_pct


def _against_peers(standing: Standing | None) -> str:
    if standing is None:
        return ""
    if standing.change_pct is None:
        return f"{standing.peers} of {LEAST_PEERS} peers" if standing.peers < LEAST_PEERS else "no row in common"
    return (
        f"{'SLOWER ' if standing.slower else ''}{standing.change_pct:+.1f}%, named from {standing.named_from_pct:.0f}%"
    )


def _slower(name: str, standing: Standing) -> str:
    odd = f"; it differs from them in {', '.join(standing.odd)}" if standing.odd else ""
    row = " ".join(standing.worst or ())
    return (
        f"SLOWER {name}: {standing.change_pct:.1f}% behind the median of its {standing.peers} peers "
        f"({standing.machine}) over {standing.rows} gated rows, named from {standing.named_from_pct:.1f}%; "
        f"most in {row}, {standing.worst_pct:.1f}%{odd}"
    )
