"""What GitHub shows of a verdict: what must be seen is there, hostile names do nothing, and it fits."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.unit.report.test_markdown import HOSTILE
from tokgate.gate.history import Baselines
from tokgate.gate.verdict import LimitVerdict, Outcome, RowVerdict, SessionVerdict, SuiteVerdict, Verdict
from tokgate.judging import Judged
from tokgate.report import github
from tokgate.session import Session

pytestmark = pytest.mark.unit

SLOW = RowVerdict(
    "tiny.onnx.int8.b8.p5.o50", "output_throughput", Verdict.REGRESSED, ("8.0% worse than the sessions",),
    unit="tok/s", better="higher", change_pct=8.04, ci_pct=(6.1, 9.96), mde_pct=3.2, margin_pct=20.0,
    tolerance_pct=2.0, baseline_value=160.0, current_value=147.2, sessions=5,
)  # fmt: skip
FINE = dataclasses.replace(SLOW, scenario="tiny.onnx.int8.b1.p5.o50", verdict=Verdict.PASS, change_pct=-0.4)
LIMIT = LimitVerdict("tiny.b1", "p99_tpot", "max", 50.0, "ms", "an SLO", 62.5, True, "62.5 ms, at most 50 ms: an SLO")


def judged(
    *rows: RowVerdict, outcome: Outcome = Outcome.FAIL, suite: Verdict | None = None, machine: str = "nvidia-t4",
    **changes: Any,
) -> Judged:  # fmt: skip
    session = Session(
        schema=1, id="night-1", started="2026-11-21T03:00:00Z", profile="nightly",
        machine={"id": machine, "kind": "gpu"}, software={}, valid=True, reasons=[], rows=[],
    )  # fmt: skip
    verdict = SessionVerdict("night-1", outcome, rows, SuiteVerdict(suite, ("all of it",)), **changes)
    return Judged(session, verdict, Baselines(session.machine_id))


def test_a_slow_row_leads_and_the_others_are_folded() -> None:
    text = github.step_summary([judged(SLOW, FINE)])
    head, folded = text.split("<details>")
    assert "❌ fail on <code>nvidia-t4</code>" in head
    assert "REGRESSED | +8.0% [+6.1, +10.0] | <code>160 tok/s</code> | <code>147 tok/s</code> | 3.2% |" in head
    assert SLOW.scenario in head.replace("&#95;", "_")
    assert FINE.scenario not in head
    assert FINE.scenario in folded
    assert "again: pytest -m gpu --perf-profile=nightly" in head
    assert folded.rstrip().endswith("</details>")


def test_a_broken_limit_and_why_a_session_is_invalid_are_told() -> None:
    text = github.step_summary([judged(FINE, outcome=Outcome.INVALID, limits=(LIMIT,), reasons=("others took 40%",))])
    assert "1 broken limit\n" in text
    assert "others took 40%" in text
    assert "62.5 ms, at most 50 ms" in text


def test_no_session_is_said_and_is_an_error() -> None:
    assert github.NOTHING in github.step_summary([])
    assert github.NOTHING in github.issue([])
    (line,) = github.annotation_lines([])
    assert line.startswith("::error ")


@pytest.mark.parametrize(
    ("verdict", "options", "level"),
    [
        (Verdict.REGRESSED, {}, "error"),
        (Verdict.INVALID, {}, "error"),
        (Verdict.NO_BASELINE, {}, "warning"),
        (Verdict.NO_BASELINE, {"require_baseline": True}, "error"),
        (Verdict.INCONCLUSIVE, {}, "warning"),
        (Verdict.INCONCLUSIVE, {"strict": True}, "error"),
        (Verdict.DRIFT, {"strict": True, "require_baseline": True}, "warning"),
        (Verdict.PASS, {}, None),
        (Verdict.IMPROVED, {}, None),
    ],
)
def test_an_annotation_is_as_grave_as_pytest_takes_it(verdict: Verdict, options: Any, level: str | None) -> None:
    row = dataclasses.replace(SLOW, verdict=verdict)
    lines = github.annotation_lines([judged(row, suite=verdict)], **options)
    assert [line.split(" ")[0] for line in lines] == ([f"::{level}"] * 2 if level else [])
    ungated = dataclasses.replace(row, gated=False)
    assert github.annotation_lines([judged(ungated)], **options) == []


def test_the_runner_keeps_ten_of_a_kind_so_the_tenth_counts_the_rest() -> None:
    rows = [dataclasses.replace(SLOW, scenario=f"row-{number}") for number in range(30)]
    lines = github.annotation_lines([judged(*rows)])
    assert len(lines) == github.MOST_ANNOTATIONS
    assert "and 21 more" in lines[-1]
    assert len(github.annotation_lines([judged(*rows[:10])])) == 10


def test_an_issue_has_a_title_of_plain_words_and_says_where_to_look() -> None:
    passed = judged(FINE, outcome=Outcome.PASS, machine="ens")
    text = github.issue([passed, judged(SLOW)], "https://github.example/o/r/actions/runs/1")
    assert text.splitlines()[0] == "tokgate: fail on nvidia-t4, 1 REGRESSED"
    assert "Run: https://github.example/o/r/actions/runs/1" in text
    assert "<details>" not in text


@pytest.mark.parametrize("link", ["https://x.example/) [click](http://y", "javascript:alert(1)", "https://x\n# y"])
def test_what_is_no_link_is_shown_and_not_linked(link: str) -> None:
    assert "Run: <code>" in github.issue([judged(SLOW)], link)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_strings_reach_neither_markup_nor_the_runner(text: str) -> None:
    row = dataclasses.replace(SLOW, scenario=text, metric=text, why=(text,), unit=text)
    limit = dataclasses.replace(LIMIT, scenario=text, metric=text, why=text)
    found = judged(row, machine=text, limits=(limit,), notes=(text,), reasons=(text,), outcome=Outcome.INVALID)
    for line in _outside_fences(github.step_summary([found]) + "\n" + github.issue([found]).partition("\n")[2]):
        assert not any(mark in line for mark in ("@", "<img", "[link]", "**bold**", "fixes #", "\x1b", "\u202e"))
    assert len(github.issue_title([found]).splitlines()) == 1
    for line in github.annotation_lines([found]):
        assert len(line.splitlines()) == 1
        assert line.startswith(("::error title=", "::warning title="))


def _outside_fences(text: str) -> list[str]:
    """The lines that Markdown reads."""
    kept, bar = [], ""
    for line in text.splitlines():
        if not bar and line.startswith("```"):
            bar = line.removesuffix("text")
        elif line == bar:
            bar = ""
        elif not bar:
            kept.append(line)
    assert not bar, "every fence is closed"
    return kept


def test_a_thousand_slow_rows_fit_and_it_is_said_what_is_left_out() -> None:
    rows = [dataclasses.replace(SLOW, scenario=f"row-{number}", why=("```" + "x" * 500,)) for number in range(1000)]
    text = github.issue([judged(*rows)])
    assert len(text) < github.ISSUE_CHARACTERS + 200
    assert text.splitlines()[-1].endswith("more lines: tokgate judge tells all")
    _outside_fences(text)
    assert len(github.step_summary([judged(*rows)])) < github.SUMMARY_CHARACTERS + 200
