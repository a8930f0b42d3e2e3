"""Terminal, page, step summary, annotations and JSON tell of one verdict: outcome, rows, changes and counts."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from nights import MODEL, accepted, judged, night, nights
from rich.console import Console

from tokgate.gate.verdict import RowVerdict, to_json
from tokgate.judging import Judged
from tokgate.report.github import annotation_lines, step_summary
from tokgate.report.html.data import SessionFacts
from tokgate.report.html.figures.base import metric_name
from tokgate.report.html.summary import summary
from tokgate.report.html.tables import rows_table
from tokgate.report.rows_table import lines_of
from tokgate.report.terminal import Look, render
from tokgate.session import Session

pytestmark = pytest.mark.unit


def no_change() -> Session:
    return night("sixth", day=6)


def slower() -> Session:
    """In one scenario."""
    return night("sixth", day=6, slower=1.0)


def mixed() -> Session:
    """One scenario slower, one that nobody accepted, one row lost."""
    session = night("sixth", day=6, slower=1.0)
    rows = [
        msgspec.structs.replace(row, scenario=row.scenario.replace("fp32.b4", "fp32.b5"))
        for row in session.rows
        if not (row.metric == "ttft" and "fp32.b1." in row.scenario)
    ]
    return msgspec.structs.replace(session, rows=rows)


def invalid() -> Session:
    return night("sixth", day=6, valid=False, reasons=["interrupted: only the launches that had ended are here"])


def unknown() -> Session:
    """Of a profile that nothing was accepted of."""
    return night("sixth", day=6, profile="quick")


@dataclass(frozen=True)
class Told:
    """What a reader takes from an output: outcome, counts, and each gated row's verdict and change in percent."""

    outcome: str
    counts: dict[str, int]
    rows: dict[tuple[str, str], tuple[str, str]]


@pytest.fixture(params=[no_change, slower, mixed, invalid, unknown], ids=lambda make: make.__name__)
def facts(request: pytest.FixtureRequest, tmp_path: Path) -> SessionFacts:
    make: Callable[[], Session] = request.param
    return judged(make(), accepted(nights(), tmp_path))


def gated(facts: SessionFacts) -> list[RowVerdict]:
    return [row for row in facts.verdict.rows if row.gated]


def expected(facts: SessionFacts) -> Told:
    rows = {row.key: (str(row.verdict), _change(row.change_pct)) for row in gated(facts)}
    verdicts = [verdict for verdict, _ in rows.values()]
    return Told(str(facts.verdict.outcome), {verdict: verdicts.count(verdict) for verdict in verdicts}, rows)


def _change(change_pct: float | None) -> str:
    return "" if change_pct is None else f"{change_pct:+.1f}"


def test_the_step_summary(facts: SessionFacts) -> None:
    told = step_summary([Judged(facts.session, facts.verdict, facts.baselines)])
    lines = html.unescape(re.sub(r"</?code>", "", told)).splitlines()
    outcome = re.fullmatch(r"## \S+ (\S+) on \S+", lines[0])
    assert outcome is not None
    counts = {name: int(number) for number, name in re.findall(r"(\d+) ([A-Z-]+)", lines[2])}
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| qwen")]
    rows = {(row[0], row[1]): (row[2], row[3].split("%")[0]) for row in cells if len(row) > 3}
    assert Told(outcome[1], counts, rows) == expected(facts)


def test_the_page(facts: SessionFacts) -> None:
    table = rows_table(facts)
    keys = {(row.scenario.removeprefix(f"{MODEL}."), metric_name(row.metric)): row.key for row in gated(facts)}
    rows = {}
    for row in table.rows:
        if row.mark:
            name, verdict, metric, *figures = row.cells
            change = figures[2][0] if isinstance(figures[2], tuple) else ""
            rows[keys[str(name), str(metric)]] = (str(verdict).split(" ")[1], change.removesuffix("%"))
    verdicts = [row.mark for row in table.rows if row.mark]
    counts = {verdict: verdicts.count(verdict) for verdict in verdicts}
    assert Told(summary(facts).verdict.lower().replace(" ", "-"), counts, rows) == expected(facts)


def test_the_terminal(facts: SessionFacts) -> None:
    """It shows the gravest row of each scenario, and counts them all."""
    text = io.StringIO()
    Console(file=text, width=100).print(render(facts.session, facts.verdict, {}, Look(100)))
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    (last,) = [line for line in lines if line.startswith(f"{facts.verdict.outcome.value.upper()}: ")]
    assert {name: int(number) for number, name in re.findall(r"(\d+) ([A-Z-]+)", last)} == expected(facts).counts
    shown = [line for group in lines_of(facts.session, facts.verdict).values() for line in group]
    drawn = [line for line in lines if re.match(r"b\d+\.p", line)]
    assert len(drawn) == len(shown)
    for line, row in zip(drawn, shown, strict=True):
        assert row.judged is not None
        assert line.startswith(row.name)
        assert line.endswith(str(row.judged.verdict))
        assert _change(row.judged.change_pct) in line


def test_json_and_annotations(facts: SessionFacts) -> None:
    told = to_json(facts.verdict)
    keys = expected(facts).rows
    rows = {
        (row["scenario"], row["metric"]): (row["verdict"], _change(row["change_pct"]))
        for row in told["rows"]
        if (row["scenario"], row["metric"]) in keys
    }
    verdicts = [verdict for verdict, _ in rows.values()]
    counts = {verdict: verdicts.count(verdict) for verdict in verdicts}
    assert Told(told["outcome"], counts, rows) == expected(facts)
    lines = annotation_lines([Judged(facts.session, facts.verdict, facts.baselines)])
    for level, verdict in (("error", "REGRESSED"), ("error", "INVALID"), ("warning", "NO-BASELINE")):
        titles = [line for line in lines if line.startswith(f"::{level} title={verdict} {MODEL}")]
        cut = any(line.startswith(f"::{level} title=tokgate::and ") for line in lines)
        assert len(titles) == counts.get(verdict, 0) or (cut and len(titles) < counts[verdict])
