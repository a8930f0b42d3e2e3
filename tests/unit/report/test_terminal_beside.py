"""The table that pytest prints of a run that has others beside it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tokgate.gate.unmeasured import unmeasured_notes
from tokgate.gate.verdict import Outcome, SessionVerdict, SuiteVerdict, Unheld, Unmeasured
from tokgate.report.terminal import write_report
from tokgate.session import Row, Session

pytestmark = pytest.mark.unit


class Summary:
    """As much of pytest's terminal reporter as the table needs."""

    verbosity = 0
    hasmarkup = False
    _tw = SimpleNamespace(fullwidth=80, _file=io.StringIO())

    def __init__(self) -> None:
        self.lines: list[str] = []

    def section(self, title: str) -> None:
        self.lines.append(title)

    def write_line(self, line: str) -> None:
        self.lines.append(line)


def test_the_table_of_a_run_does_not_deny_what_its_other_sessions_measured() -> None:
    measured = Row(scenario="a.b2", metric="ttft", unit="s", better="lower", gated=True, launches=[[1.0]])
    session = Session(
        schema=1, id="s", started="2026-11-21T00:00:00+00:00", profile="nightly", valid=True, reasons=[],
        machine={"id": "amd-epyc-7003-2c-24g", "kind": "cpu"}, software={}, rows=[measured],
        telemetry={"run_s": 2.0, "measured_s": 1.0},
    )  # fmt: skip
    lacks = Unmeasured(("a.b1", "a.b4"), (Unheld("a.b4", ("ttft",)), Unheld("a.b8", ("ttft",))))
    notes = ("this session is itself accepted", *unmeasured_notes(lacks))
    verdict = SessionVerdict("s", Outcome.PASS, (), SuiteVerdict(None, ()), notes=notes, unmeasured=lacks)
    run: Any = SimpleNamespace(
        session=lambda: session, shown_verdict=lambda: verdict, skipped=dict, results=[], session_path=Path("/s.json")
    )

    def told(*args: Any) -> list[str]:
        write_report(run, summary := Summary(), *args)
        return re.findall(r"note: .*?(?= note: | PASS: )", " ".join(" ".join(summary.lines).split()))

    own = "note: this session is itself accepted"
    assert told() == [own, *(f"note: {note}" for note in notes[1:])]
    assert told({"a.b1", "a.b4"}) == [own, "note: not measured: a.b8 (ttft): their limits were held against nothing"]
    assert told({"a.b1", "a.b4", "a.b8"}) == [own]
