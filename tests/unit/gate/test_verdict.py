from __future__ import annotations

import json

import pytest

from tokgate.gate.verdict import (
    LimitVerdict,
    Outcome,
    RowVerdict,
    SessionVerdict,
    SuiteVerdict,
    Verdict,
    exit_status,
    outcome_of,
    to_json,
)

pytestmark = pytest.mark.unit

NO_SUITE = SuiteVerdict(None, ("not judged",))
BROKEN = LimitVerdict("s.b1", "ttft", "max", 2.0, "s", "SLO", 3.0, True, "3 s breaks it")


def rows(*verdicts, gated=True):
    return tuple(
        RowVerdict(f"s.b{number}", "ttft", verdict, ("seen", "done"), gated=gated)
        for number, verdict in enumerate(verdicts)
    )


def session(*verdicts, valid=True, suite=NO_SUITE, limits=()):
    found = rows(*verdicts)
    return SessionVerdict("n1", outcome_of(valid, found, suite, limits), found, suite, limits)


@pytest.mark.parametrize(
    ("verdicts", "outcome"),
    [
        ((Verdict.PASS, Verdict.IMPROVED, Verdict.DRIFT), "pass"),
        ((Verdict.PASS, Verdict.NO_BASELINE), "no-baseline"),
        ((Verdict.INCONCLUSIVE, Verdict.NO_BASELINE), "inconclusive"),
        ((Verdict.INCONCLUSIVE, Verdict.REGRESSED), "fail"),
        ((), "no-baseline"),
    ],
)
def test_the_outcome_is_the_worst_that_was_seen(verdicts, outcome):
    assert session(*verdicts).outcome.value == outcome


def test_invalid_goes_before_fail_and_a_broken_limit_fails():
    assert session(Verdict.REGRESSED, valid=False, limits=(BROKEN,)).outcome is Outcome.INVALID
    assert session(Verdict.PASS, limits=(BROKEN,)).outcome is Outcome.FAIL


def test_the_suite_counts_as_a_row_where_it_was_judged():
    assert session(Verdict.PASS, suite=SuiteVerdict(Verdict.REGRESSED, ())).outcome is Outcome.FAIL


def test_ungated_rows_neither_fail_nor_pass_a_session():
    assert outcome_of(True, rows(Verdict.REGRESSED, gated=False), NO_SUITE, ()) is Outcome.NO_BASELINE


PASS = session(Verdict.PASS)
FAIL = session(Verdict.REGRESSED)
INVALID = session(Verdict.INVALID, valid=False)
UNDECIDED = session(Verdict.INCONCLUSIVE)
NOTHING = session(Verdict.NO_BASELINE)


@pytest.mark.parametrize(
    ("verdicts", "require_baseline", "strict", "status"),
    [
        ([PASS], True, True, 0),
        ([], False, False, 0),
        ([UNDECIDED], False, False, 0),
        ([UNDECIDED], False, True, 4),
        ([NOTHING], False, True, 0),
        ([NOTHING], True, False, 3),
        ([PASS, FAIL], False, False, 1),
        ([FAIL, INVALID], False, False, 4),
        ([FAIL, UNDECIDED], False, True, 4),
        ([NOTHING, FAIL], True, False, 1),
        ([session(Verdict.INCONCLUSIVE, Verdict.NO_BASELINE)], True, False, 3),
    ],
)
def test_exit_status_is_the_first_of_4_1_3(verdicts, require_baseline, strict, status):
    assert exit_status(verdicts, require_baseline, strict) == status


def test_to_json_has_the_documented_shape_and_is_json():
    row = RowVerdict("s.b1", "ttft", Verdict.REGRESSED, ("a", "b"), change_pct=5.0, ci_pct=(2.0, 7.0), mde_pct=3.0)
    suite = SuiteVerdict(None, ("1 of 2 rows measured: not judged",))
    found = to_json(SessionVerdict("n1", Outcome.FAIL, (row,), suite, notes=("driver 580 -> 590",)))
    assert json.loads(json.dumps(found)) == {
        "session": "n1",
        "outcome": "fail",
        "rows": [
            {
                "scenario": "s.b1",
                "metric": "ttft",
                "verdict": "REGRESSED",
                "change_pct": 5.0,
                "ci_pct": [2.0, 7.0],
                "mde_pct": 3.0,
                "why": "a; b",
            }
        ],
        "suite": {
            "verdict": None,
            "change_pct": None,
            "ci_pct": None,
            "mde_pct": None,
            "why": "1 of 2 rows measured: not judged",
        },
        "limits": [],
        "reasons": [],
        "notes": ["driver 580 -> 590"],
    }


def test_a_row_is_blind_when_it_could_not_see_its_margin():
    def row(**changes):
        return RowVerdict("s", "ttft", Verdict.PASS, (), margin_pct=6.0, sessions=5, **changes)

    assert row(mde_pct=6.1).blind
    assert not row(mde_pct=5.9).blind
    assert row().blind
    assert not row(mde_pct=9.0, gated=False).blind


def test_a_verdict_prints_as_its_word():
    assert f"{Verdict.NO_BASELINE} {Outcome.NO_BASELINE}" == "NO-BASELINE no-baseline"
