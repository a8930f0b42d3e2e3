"""What pytest's summary and `tokgate judge` show of a session: its rows, what was blind, the verdict; in 80 columns."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from tokgate.gate.scale import size_text
from tokgate.gate.scorecard import score_cards
from tokgate.gate.unmeasured import without_notes_on
from tokgate.gate.verdict import Outcome, SessionVerdict, Verdict
from tokgate.report.bar import BOX, Signs, signs_for
from tokgate.report.groups import gpu_lines, heading_facts
from tokgate.report.reference import reference_lines
from tokgate.report.rows_table import Layout, Line, lines_of, with_interval
from tokgate.report.trace_lines import trace_lines
from tokgate.session import Session

if TYPE_CHECKING:
    from tokgate.run import DeviceRun

_REASONS_SHOWN = 3
# The widest that is pleasant to read; a log has no width of its own and gets pytest's 80.
_MOST_WIDTH = 100
# With -q: rows that need a reader, and no more of them than one can look at.
_NEEDED = (Verdict.REGRESSED, Verdict.INVALID, Verdict.INCONCLUSIVE, Verdict.DRIFT)
_QUIET_ROWS = 10


@dataclass(frozen=True)
class Look:
    """Columns of the terminal, the signs that it can write, and whether to say only what must be known.

    `carded`: score cards follow, and a broken limit that is on one is told there alone.
    """

    width: int = 80
    signs: Signs = BOX
    quiet: bool = False
    carded: bool = False


def write_report(run: DeviceRun, terminalreporter: Any, beside: Collection[str] = ()) -> None:
    """Writes the run's table into pytest's summary, and where its session file is.

    `beside`: ids of scenarios that other sessions of this pytest run measured, see gate.unmeasured.measured_beside.
    """
    session = run.session()
    terminalreporter.section(f"tokgate: {session.machine_id}, profile {session.profile}")
    writer = terminalreporter._tw
    encoding = getattr(writer._file, "encoding", None)
    look = Look(min(writer.fullwidth, _MOST_WIDTH), signs_for(encoding), terminalreporter.verbosity < 0)
    text = io.StringIO()
    console = Console(file=text, width=look.width, force_terminal=terminalreporter.hasmarkup, highlight=False)
    verdict = without_notes_on(beside, run.shown_verdict())
    console.print(render(session, verdict, run.skipped(), look))
    table = [line.rstrip() for line in text.getvalue().splitlines()]
    closing = closing_words(session, run.session_path)
    for line in [*table, *(closing[-1:] if look.quiet else [*trace_lines(run.results), *closing])]:
        terminalreporter.write_line(line)


def closing_words(session: Session, path: Path) -> list[str]:
    """How long the run took, and where its session file is."""
    told = session.telemetry
    share = 100 * told["measured_s"] / told["run_s"]
    return [f"time: {told['run_s']:.0f} s, {share:.0f}% of it inside measured rounds", f"session: {_near(path)}"]


def print_verdict(
    session: Session, verdict: SessionVerdict, skipped: dict[str, str] | None = None, carded: bool = False
) -> None:
    """Prints a judged session to standard output."""
    console = Console(highlight=False)
    look = Look(min(console.width, _MOST_WIDTH), signs_for(console.encoding), carded=carded)
    console.print(Text(f"{session.id}: {session.machine_id}, profile {session.profile}", style="bold"))
    console.print(render(session, verdict, skipped or {}, look))


def render(session: Session, verdict: SessionVerdict, skipped: dict[str, str], look: Look) -> RenderableType:
    """The table of a session, what was blind above it, and what must be read beside it below."""
    groups = lines_of(session, verdict)
    shown = _needed(groups) if look.quiet else groups
    layout = Layout.of(shown, look.width, look.signs)
    parts: list[RenderableType] = [*_blind_lines(verdict), *map(Text, reference_lines(session)), *_notes(session)]
    for group, lines in shown.items():
        scenarios = [f"{group}.{line.name}" for line in lines]
        parts += [Text(group, style="bold")] if look.quiet else _group_lines(session, group, scenarios)
        parts.append(layout.table(lines))
    parts += [Text(layout.legend, style="dim")] if layout.legend and not look.quiet else []
    parts += [Text(f"skipped {group}: {reason}") for group, reason in skipped.items()]
    parts += _closing_lines(verdict, look.carded)
    return Group(*parts)


def _needed(groups: Mapping[str, Sequence[Line]]) -> dict[str, list[Line]]:
    """The first rows that need a reader, by group; the counts at the end tell of all."""
    found = [(group, line) for group, lines in groups.items() for line in lines if line.verdict in _NEEDED]
    needed: dict[str, list[Line]] = {}
    for group, line in found[:_QUIET_ROWS]:
        needed.setdefault(group, []).append(line)
    return needed


def _near(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _group_lines(session: Session, group: str, scenarios: Sequence[str]) -> list[Text]:
    """The group's name, what it took, and how near its outputs are to the reference on the same weights."""
    facts = heading_facts(session, group, scenarios)
    lines = [Text.assemble((group, "bold"), (f"  {facts}" if facts else "", "dim"))]
    lines += [Text(f"  {line}", style="dim") for line in gpu_lines(session, group, scenarios)]
    for found in session.accuracy:
        if found.group == group:
            agrees = f"top-1 agrees in {found.top1_agreement:.0%} of {found.positions}"
            text = f"  against {found.reference}: {agrees}, logits {found.logit_distance:.1e} apart"
            lines.append(Text(text, style="dim"))
    told = session.telemetry.get("groups", {}).get(group, {})
    if str(told.get("build", {}).get("kind", "")).startswith("skeleton"):
        lines.append(Text("  outputs not compared: the engine filled a skeleton with weights of its own", style="dim"))
    return lines


def _blind_lines(verdict: SessionVerdict) -> list[Text]:
    blind = verdict.blind
    if not blind:
        return []
    gated = sum(row.gated for row in verdict.rows)
    seen = [row.mde_pct for row in blind if row.mde_pct is not None]
    sizes = list(dict.fromkeys(size_text(size, 0) for size in (min(seen), max(seen)))) if seen else []
    smallest = f"; they see changes from {' to '.join(sizes)} up" if seen else ""
    return [
        Text(
            f"BLIND: {len(blind)} of {gated} gated rows would miss a change as large as their margin{smallest}. "
            f"{'Measure more pairs.' if all(row.pairs for row in blind) else 'Accept more sessions.'}",
            style="yellow",
        )
    ]


def _notes(session: Session) -> list[Text]:
    """What was seen while it was measured: pairs that were lost, rows that it could not have."""
    groups = session.telemetry.get("groups", {}).values()
    return [Text(f"note: {note}") for group in groups for note in group.get("notes", [])]


def _closing_lines(verdict: SessionVerdict, carded: bool) -> list[Text]:
    lines = []
    invalid = verdict.outcome is Outcome.INVALID
    cards = score_cards(verdict.limits) if carded and not invalid else []
    on_card = {limit for card in cards for limit in card.lines}
    if verdict.suite.change_pct is not None:
        change = with_interval(verdict.suite.change_pct, verdict.suite.ci_pct, 1)
        lines.append(Text(f"all {verdict.suite.rows} gated rows: {change} {verdict.suite.verdict}"))
    lines += [Text(f"note: {note}") for note in verdict.notes]
    lines += [
        Text(f"limit: {limit.scenario} {limit.why}", style="bold red")
        for limit in verdict.limits
        if limit.broken and limit not in on_card
    ]
    counts = Counter(str(row.verdict) for row in verdict.rows if row.gated)
    counted = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    style = {"pass": "bold green", "fail": "bold red", "invalid": "bold red"}.get(verdict.outcome.value, "bold yellow")
    # A reference cannot be broken, and what cannot be believed keeps nothing.
    bounds = [] if invalid else [limit for limit in verdict.limits if limit.bound != "reference"]
    limits = f"; {sum(not limit.broken for limit in bounds)} of {len(bounds)} limits kept" if bounds else ""
    lines.append(Text(f"{verdict.outcome.value.upper()}: {counted or 'no gated row'}{limits}", style=style))
    shown = verdict.reasons[:_REASONS_SHOWN]
    lines += [Text(f"  {reason}") for reason in shown]
    if len(verdict.reasons) > len(shown):
        lines.append(Text(f"  and {len(verdict.reasons) - len(shown)} more: tokgate judge --json tells all"))
    return lines
