"""What a pytest item says of its verdict: which verdicts fail it, and which warn."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sessions import SCENARIO, session

from tokgate.gate.history import Baselines
from tokgate.gate.verdict import Outcome, RowVerdict, SessionVerdict, SuiteVerdict, Verdict
from tokgate.report.outcome import ItemOutcome, scenario_outcome, suite_outcome
from tokgate.scenario import Group, Scenario

pytestmark = pytest.mark.unit


def outcome(
    *verdicts: Verdict, reasons: tuple[str, ...] = (), require_baseline: bool = False, strict: bool = False,
    gated: bool = True,
) -> ItemOutcome:  # fmt: skip
    """Of a scenario with so many rows."""
    rows = tuple(RowVerdict(SCENARIO, f"metric_{n}", each, ("why",), gated) for n, each in enumerate(verdicts))
    verdict = SessionVerdict("night", Outcome.PASS, rows, SuiteVerdict(None, ("",)), reasons=reasons)
    run: Any = SimpleNamespace(
        scenario_verdict=lambda scenario: (session(), verdict),
        command_for=lambda scenario: "pytest -k one",
        baselines=Baselines("m"),
        machine={"id": "m"},
        options=SimpleNamespace(reference=None, profile="quick"),
    )
    return scenario_outcome(Scenario(Group("m", "m", "vllm", "fp16"), 1, 5, 50), run, require_baseline, strict)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_without_options_regressed_and_invalid_fail_and_reservations_warn(verdict: Verdict) -> None:
    found = outcome(verdict)
    assert found.passed is (verdict not in (Verdict.REGRESSED, Verdict.INVALID))
    assert bool(found.warnings) is (verdict in (Verdict.NO_BASELINE, Verdict.INCONCLUSIVE, Verdict.DRIFT))


def test_a_row_that_is_invalid_in_a_valid_session_fails_with_its_reason() -> None:
    """As one that the accepted sessions gate, and this one does not have."""
    found = outcome(Verdict.PASS, Verdict.INVALID)
    assert found.failures[0] == f"INVALID {SCENARIO} metric_1\n  why"
    assert found.failures[-1] == "again: pytest -k one"


@pytest.mark.parametrize("require_baseline", [False, True])
def test_the_reasons_of_an_invalid_session_are_told_once_and_not_by_every_row(require_baseline: bool) -> None:
    found = outcome(Verdict.INVALID, Verdict.INVALID, reasons=("others took 40%",), require_baseline=require_baseline)
    (failure,) = found.failures
    assert "others took 40%" in failure


def test_the_options_make_failures_of_warnings() -> None:
    assert not outcome(Verdict.NO_BASELINE, require_baseline=True).passed
    assert not outcome(Verdict.INCONCLUSIVE, strict=True).passed
    assert outcome(Verdict.DRIFT, require_baseline=True, strict=True).passed


def test_rows_without_accepted_sessions_are_told_in_one_warning() -> None:
    assert len(outcome(Verdict.NO_BASELINE, Verdict.NO_BASELINE, Verdict.INCONCLUSIVE).warnings) == 2


@pytest.mark.parametrize("suite", [None, Verdict.PASS, Verdict.REGRESSED])
def test_an_accepted_scenario_that_is_missing_fails_the_suite_where_baselines_are_required(
    suite: Verdict | None,
) -> None:
    verdict = SessionVerdict("night", Outcome.PASS, (), SuiteVerdict(suite, ("why",)), missing=("lost.b1",))
    run: Any = SimpleNamespace(session_verdict=lambda: verdict)
    required = suite_outcome(run, require_baseline=True, strict=False)
    assert required.failures[0].startswith("NO-BASELINE not measured: lost.b1: ")
    assert required.skipped is None
    assert len(required.failures) == (2 if suite is Verdict.REGRESSED else 1), "one does not hide the other"
    free = suite_outcome(run, require_baseline=False, strict=False)
    assert free.passed is (suite is not Verdict.REGRESSED)
    assert free.skipped == (None if suite else "why")


def test_rows_that_are_not_gated_say_nothing() -> None:
    assert outcome(*Verdict, gated=False) == ItemOutcome()
