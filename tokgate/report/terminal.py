"""The one table: scenario, throughput, TTFT, TPOT, change with its interval, verdict. 80 columns suffice."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tokgate.gate.verdict import RowVerdict, SessionVerdict, Verdict
from tokgate.report.figures import scenarios_by_group, typical
from tokgate.report.groups import gpu_lines, heading_facts
from tokgate.report.reference import reference_lines
from tokgate.report.trace_lines import trace_lines
from tokgate.report.units import text_of
from tokgate.session import Row, Session

if TYPE_CHECKING:
    from tokgate.run import DeviceRun

_STYLES = {
    Verdict.REGRESSED: "bold red",
    Verdict.INVALID: "bold red",
    Verdict.PASS: "green",
    Verdict.IMPROVED: "bold green",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NO_BASELINE: "yellow",
    Verdict.DRIFT: "yellow",
}
_SEVERITY = (
    Verdict.INVALID,
    Verdict.REGRESSED,
    Verdict.NO_BASELINE,
    Verdict.INCONCLUSIVE,
    Verdict.DRIFT,
    Verdict.IMPROVED,
    Verdict.PASS,
)
_CHANGE_WIDTH = 30
_COLUMNS = (("", 13, "left"), ("tok/s", 6, "right"), ("TTFT", 7, "right"), ("TPOT", 7, "right"),
            ("worse by [interval]", _CHANGE_WIDTH, "left"), ("verdict", 12, "left"))  # fmt: skip
# The column of the throughput needs no name, and the longest name no more than this.
_LABELS = {"output_throughput": "", "cpu_time_per_token": "cpu "}
_REASONS_SHOWN = 3


def write_report(run: DeviceRun, terminalreporter: Any) -> None:
    """Writes the run's table into pytest's summary, and where its session file is."""
    session = run.session()
    terminalreporter.section(f"tokgate: {session.machine_id}, profile {session.profile}")
    width = min(terminalreporter._tw.fullwidth, 100)
    text = io.StringIO()
    console = Console(file=text, width=max(width, 80), force_terminal=terminalreporter.hasmarkup, highlight=False)
    console.print(render(session, run.shown_verdict(), run.skipped()))
    terminalreporter.write(text.getvalue())
    for line in [*trace_lines(run.results), *closing_words(session, run.session_path)]:
        terminalreporter.write_line(line)


def closing_words(session: Session, path: Path) -> list[str]:
    """How long the run took, and where its session file is."""
    told = session.telemetry
    share = 100 * told["measured_s"] / told["run_s"]
    return [f"time: {told['run_s']:.0f} s, {share:.0f}% of it inside measured rounds", f"session: {_near(path)}"]


def print_verdict(session: Session, verdict: SessionVerdict, skipped: dict[str, str] | None = None) -> None:
    """Prints a judged session to standard output."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    console.print(Text(f"{session.id}: {session.machine_id}, profile {session.profile}", style="bold"))
    console.print(render(session, verdict, skipped or {}))


def render(session: Session, verdict: SessionVerdict, skipped: dict[str, str]) -> RenderableType:
    """The table of a session, what was blind above it, and what must be read beside it below."""
    parts: list[RenderableType] = [*_blind_lines(verdict), *map(Text, reference_lines(session))]
    for group, scenarios in scenarios_by_group(session.rows).items():
        parts += _group_lines(session, group, scenarios)
        parts.append(_table(group, scenarios, session.rows, verdict))
    parts += [Text(f"skipped {group}: {reason}") for group, reason in skipped.items()]
    parts += _closing_lines(verdict)
    return Group(*parts)


def _table(group: str, scenarios: Sequence[str], rows: Sequence[Row], verdict: SessionVerdict) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name, width, side in _COLUMNS:
        table.add_column(Text(name), width=width, justify=side, no_wrap=True, header_style="dim")  # type: ignore[arg-type]  # a str of the Literal
    for scenario in scenarios:
        values = {row.metric: row for row in rows if row.scenario == scenario}
        judged = worst(verdict.of_scenario(scenario))
        table.add_row(
            Text(scenario.removeprefix(f"{group}.")),
            *(_value(values.get(metric), verdict) for metric in ("output_throughput", "ttft", "tpot")),
            Text(_change(judged)),
            Text(str(judged.verdict), style=_STYLES[judged.verdict]) if judged else "",
        )
    return table


def worst(rows: Iterable[RowVerdict]) -> RowVerdict | None:
    """Of a scenario's gated rows the one to show: the gravest verdict; of equals the throughput."""
    gated = [row for row in rows if row.gated]
    if not gated:
        return None
    return min(gated, key=lambda row: (_SEVERITY.index(row.verdict), row.metric != "output_throughput"))


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


def _value(row: Row | None, verdict: SessionVerdict) -> str:
    """The value that was judged: of a row in pairs the candidate's there."""
    if row is None:
        return ""
    judged = verdict.row(*row.key)
    value = judged.current_value if judged else None
    return text_of(typical(row) if value is None else value, row.unit).removesuffix(" tok/s")


def _change(row: RowVerdict | None) -> str:
    """The change, its interval, and whether pairs showed it: without decimals where that is too long."""
    if row is None or row.change_pct is None:
        return ""
    label = _LABELS.get(row.metric, f"{row.metric} ")
    paired = " paired" if row.pairs else ""
    long, short = (f"{label}{_with_interval(row.change_pct, row.ci_pct, digits)}{paired}" for digits in (1, 0))
    return long if len(long) <= _CHANGE_WIDTH else short


def _with_interval(change_pct: float, ci_pct: tuple[float, float] | None, digits: int) -> str:
    interval = f" [{ci_pct[0]:+.{digits}f}, {ci_pct[1]:+.{digits}f}]" if ci_pct else ""
    return f"{change_pct:+.{digits}f}%{interval}"


def _blind_lines(verdict: SessionVerdict) -> list[Text]:
    blind = verdict.blind
    if not blind:
        return []
    gated = sum(row.gated for row in verdict.rows)
    seen = [row.mde_pct for row in blind if row.mde_pct is not None]
    sizes = list(dict.fromkeys(f"{size:.0f}%" for size in (min(seen), max(seen)))) if seen else []
    smallest = f"; they see changes from {' to '.join(sizes)} up" if seen else ""
    return [
        Text(
            f"BLIND: {len(blind)} of {gated} gated rows would miss a change as large as their margin{smallest}. "
            f"{'Measure more pairs.' if all(row.pairs for row in blind) else 'Accept more sessions.'}",
            style="yellow",
        )
    ]


def _closing_lines(verdict: SessionVerdict) -> list[Text]:
    lines = []
    if verdict.suite.change_pct is not None:
        change = _with_interval(verdict.suite.change_pct, verdict.suite.ci_pct, 1)
        lines.append(Text(f"all {verdict.suite.rows} gated rows: {change} {verdict.suite.verdict}"))
    lines += [Text(f"note: {note}") for note in verdict.notes]
    lines += [
        Text(f"limit: {limit.scenario} {limit.why}", style="bold red") for limit in verdict.limits if limit.broken
    ]
    counts = Counter(str(row.verdict) for row in verdict.rows if row.gated)
    counted = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    style = {"pass": "bold green", "fail": "bold red", "invalid": "bold red"}.get(verdict.outcome.value, "bold yellow")
    kept = sum(not limit.broken for limit in verdict.limits)
    limits = f"; {kept} of {len(verdict.limits)} limits kept" if verdict.limits else ""
    lines.append(Text(f"{verdict.outcome.value.upper()}: {counted or 'no gated row'}{limits}", style=style))
    shown = verdict.reasons[:_REASONS_SHOWN]
    lines += [Text(f"  {reason}") for reason in shown]
    if len(verdict.reasons) > len(shown):
        lines.append(Text(f"  and {len(verdict.reasons) - len(shown)} more: tokgate judge --json tells all"))
    return lines
