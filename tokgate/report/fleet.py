"""The table of a fleet: node, machine, outcome, worst row, against its peers; below it what must be read beside it.

A node of several sessions has a line with the worst outcome, and below that a line for each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tokgate.fleet.node import NodeReport, SessionReport
from tokgate.fleet.peers import LEAST_PEERS, Standing
from tokgate.gate.verdict import Outcome, RowVerdict, to_json
from tokgate.report.rows_table import worst
from tokgate.report.words import count, regressions, reservations

_STYLES = {Outcome.PASS: "green", Outcome.FAIL: "bold red", Outcome.INVALID: "bold red"}
_TAIL_LINES = 15
# Node -> session id -> how it stands.
Standings = Mapping[str, Mapping[str, Standing]]


def print_fleet(reports: Sequence[NodeReport], standings: Standings) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in ("node", "machine", "outcome", "worst row", "against peers"):
        table.add_column(Text(name), header_style="dim", overflow="fold")
    for report in reports:
        if len(report.made) > 1:
            table.add_row(report.name, "", _styled(report.outcome), Text(_count(report)), "")
        for one in report.made:
            table.add_row(
                report.name if len(report.made) == 1 else "",
                one.session.machine_id if one.session else "",
                _styled(one.verdict.outcome),
                Text(_worst_row(one) if len(report.made) == 1 else _told(report, one)),
                Text(_against_peers(_standing(report, one, standings))),
            )
    console.print(table)
    for line in lines_below(reports, standings):
        console.print(Text(line))


def lines_below(reports: Sequence[NodeReport], standings: Standings) -> Iterator[str]:
    """Which nodes are slower than their peers, and of each session why it did not pass."""
    found = ((report, one, _standing(report, one, standings)) for report in reports for one in report.made)
    # Sessions that were compared as one say the same.
    yield from dict.fromkeys(
        _slower(_title(report, one), standing) for report, one, standing in found if standing and standing.slower
    )
    for report in reports:
        if len(report.made) == 1:
            (one,) = report.made
            lines = [*_whys(one, one.verdict.reasons), *_tail(report), *_notes(report.notes, one.verdict.notes)]
            yield from _block(report.name, lines, one.path)
            continue
        fault = [report.fault] if report.fault else []
        yield from _block(report.name, [*fault, *_tail(report), *_notes(report.notes)], None)
        for one in report.made:
            reasons = [reason for reason in one.verdict.reasons if reason not in fault]
            yield from _block(_title(report, one), [*_whys(one, reasons), *_notes(one.verdict.notes)], one.path)


def to_json_lines(report: NodeReport, standings: Mapping[str, Standing]) -> Iterator[dict[str, Any]]:
    """Of each session what `tokgate judge --json` says, with the node, its outcome, and how it stands among its peers.

    `standings`: those of this node, by session id.
    """
    for one in report.made:
        standing = standings.get(one.session.id) if one.session else None
        peers = None
        if standing is not None:
            peers = {
                "peers": standing.peers,
                "rows": standing.rows,
                "change_pct": standing.change_pct,
                "named_from_pct": standing.named_from_pct,
                "slower": standing.slower,
            }
        yield {
            "node": report.name,
            "node_outcome": report.outcome.value,
            "machine": one.session.machine_id if one.session else None,
            **to_json(one.verdict),
            "notes": [*report.notes, *one.verdict.notes],
            "peers": peers,
        }


def _standing(report: NodeReport, one: SessionReport, standings: Standings) -> Standing | None:
    return standings.get(report.name, {}).get(one.session.id) if one.session else None


def _styled(outcome: Outcome) -> Text:
    return Text(str(outcome), style=_STYLES.get(outcome, "yellow"))


def _count(report: NodeReport) -> str:
    """How many sessions the node made, and of how many where it lacks some."""
    made = len(report.answer.sessions) if report.answer else 0
    return count(made, "session") if made == len(report.made) else f"{made} of {count(len(report.made), 'session')}"


def _told(report: NodeReport, one: SessionReport) -> str:
    """What the session is of, and below it its worst row."""
    return "\n".join(filter(None, [_what(report, one), *(f"  {line}" for line in _worst_row(one).splitlines())]))


def _title(report: NodeReport, one: SessionReport) -> str:
    what = _what(report, one) if len(report.made) > 1 else ""
    return f"{report.name}, {what}" if what else report.name


def _what(report: NodeReport, one: SessionReport) -> str:
    """Matrices may have the same groups: then the session's id tells them apart."""
    alike = sum(other.what == one.what for other in report.made) > 1
    return ", ".join(filter(None, [one.what, one.path.stem if alike and one.path else ""]))


def _block(title: str, lines: Sequence[str], path: Path | None) -> Iterator[str]:
    if lines:
        yield f"{title}:"
        yield from (f"  {line}" for told in lines for line in told.splitlines())
    if path is not None:
        yield f"{title}: session {path}"


def _notes(*notes: Sequence[str]) -> list[str]:
    return [f"note: {note}" for of in notes for note in of]


def _whys(one: SessionReport, reasons: Sequence[str]) -> Iterator[str]:
    yield from reasons
    if one.judged is not None:
        yield from regressions(one.judged.session, one.verdict, one.judged.baselines)
        yield from reservations(one.verdict)


def _tail(report: NodeReport) -> Iterator[str]:
    if report.outcome is Outcome.INVALID and report.answer is not None and report.answer.tail:
        yield "the last it printed:"
        yield from (f"| {line}" for line in report.answer.tail.splitlines()[-_TAIL_LINES:])


def _worst_row(one: SessionReport) -> str:
    """The gravest verdict; of equal ones the row that is most worse."""
    if one.verdict.outcome is Outcome.INVALID:
        return ""
    gravest = worst(one.verdict.rows)
    if gravest is None:
        return ""
    alike = [row for row in one.verdict.rows if row.gated and row.verdict is gravest.verdict]
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
