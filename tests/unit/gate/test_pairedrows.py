"""Sessions with rows measured in pairs: what the pairs decide, and what the accepted sessions still say."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from tests.unit.gate.examples import MACHINE, five_nights, make_row, make_session, noisy_session, scenario, store
from tokgate.gate.history import Baselines
from tokgate.gate.judge import judge_session, to_pair
from tokgate.gate.pairedrows import paired_night
from tokgate.gate.ruling import Levels
from tokgate.gate.verdict import Outcome, Verdict, exit_status
from tokgate.session import Row, Session

pytestmark = pytest.mark.unit

NOTHING = Baselines(MACHINE)


def in_pairs(row: Row, slower: float, seed: int, noise: float = 0.005, pairs: int = 12) -> Row:
    """The row with pairs in which the candidate is slower by the factor 1 + `slower`."""
    rng = np.random.default_rng(seed)
    level = row.launches[0][0]
    sign = -1 if row.better == "higher" else 1
    made = [
        [level * math.exp(rng.normal(0, noise)), level * math.exp(sign * math.log1p(slower) + rng.normal(0, noise))]
        for _ in range(pairs)
    ]
    return make_row(
        row.launches, scenario=row.scenario, metric=row.metric, unit=row.unit, better=row.better, pairs=made
    )


def paired_session(slower: dict[int, float], number: int = 9, **changes: object) -> Session:
    """A session of six rows, those numbered in pairs."""
    session = noisy_session(number, **changes)
    rows = [in_pairs(row, slower[i], i) if i in slower else row for i, row in enumerate(session.rows)]
    return make_session(number, rows)


def test_without_a_baseline_the_pairs_decide():
    verdict = judge_session(paired_session(dict.fromkeys(range(6), 0.0)), NOTHING)
    assert {row.verdict for row in verdict.rows} == {Verdict.PASS}
    assert verdict.outcome is Outcome.PASS
    assert exit_status([verdict], require_baseline=True) == 0
    assert all(row.pairs == 12 and row.mde_pct for row in verdict.rows)


def test_a_slower_candidate_is_a_regression():
    verdict = judge_session(paired_session({2: 0.08, 3: 0.0}), store(five_nights()))
    slow = verdict.rows[2]
    assert slow.verdict is Verdict.REGRESSED
    assert verdict.outcome is Outcome.FAIL
    assert slow.change_pct == pytest.approx(7.4, abs=1.0)  # of the rate: 1 - 1/1.08
    assert "; pair by pair 7." in slow.why[0], "the two values before it are trimmed by themselves"
    assert "12 interleaved pairs" in slow.why[0]
    assert verdict.rows[3].verdict is Verdict.PASS


def test_a_slow_night_that_slows_the_reference_too_is_drift():
    """Slower than stored, but the paired reference is as slow: the host moved, not the code."""
    verdict = judge_session(paired_session(dict.fromkeys(range(6), 0.0), slowdown=1.3), store(five_nights()))
    assert {row.verdict for row in verdict.rows} == {Verdict.DRIFT}
    assert verdict.suite.verdict is Verdict.DRIFT
    assert verdict.outcome is Outcome.PASS
    assert any("the host moved, not the code" in why for why in verdict.rows[0].why)


def test_a_slow_night_on_which_the_code_is_slow_as_well_is_a_regression():
    verdict = judge_session(paired_session(dict.fromkeys(range(6), 0.1), slowdown=1.3), store(five_nights()))
    assert {row.verdict for row in verdict.rows} == {Verdict.REGRESSED}
    assert verdict.suite.verdict is Verdict.REGRESSED


def test_what_the_pairs_leave_open_is_inconclusive_and_says_how_many_more():
    slower = [0.16, -0.08, 0.13, -0.05, 0.10, -0.02, 0.11, 0.01, 0.08, 0.03, 0.06, 0.05]
    row = make_row([[100]], pairs=[[100.0, 100 * math.exp(-value)] for value in slower])
    verdict = judge_session(make_session(9, [row]), NOTHING)
    assert verdict.rows[0].verdict is Verdict.INCONCLUSIVE
    assert any("pairs" in why and ("more" in why or "no number" in why) for why in verdict.rows[0].why[1:])
    assert verdict.rows[0].blind


@pytest.mark.parametrize("pairs", [1, 2])
def test_too_few_pairs_are_no_pass(pairs):
    session = noisy_session(9)
    rows = [in_pairs(session.rows[0], 0.0, 1, pairs=pairs)]
    verdict = judge_session(make_session(9, rows), NOTHING)
    assert verdict.rows[0].verdict is Verdict.INCONCLUSIVE
    assert f"{pairs} of at least 3 pairs" in verdict.rows[0].why[0]
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_the_night_is_split_over_the_rows_in_pairs_and_their_mean():
    levels = Levels()
    assert paired_night(paired_session({}), levels).level == levels.night
    assert paired_night(paired_session({1: 0.0}), levels).level == levels.night
    assert paired_night(paired_session({1: 0.0, 2: 0.0, 4: 0.0}), levels).level == levels.night / 4


def test_a_small_slowdown_of_all_rows_shows_in_the_suite():
    """Paired, the suite's row sees what no single row can."""
    noise = {"noise": 0.012}
    rows = [in_pairs(row, 0.035, number, **noise) for number, row in enumerate(noisy_session(9, rows=20).rows)]
    verdict = judge_session(make_session(9, rows), NOTHING)
    assert verdict.suite.verdict is Verdict.REGRESSED
    assert sum(row.verdict is Verdict.REGRESSED for row in verdict.rows) < 10


def test_reported_rows_in_pairs_fail_nothing():
    row = in_pairs(noisy_session(9).rows[0], 0.3, 1)
    reported = make_row(row.launches, metric="e2el", gated=False, pairs=row.pairs)
    verdict = judge_session(make_session(9, [in_pairs(noisy_session(9).rows[0], 0.0, 2), reported]), NOTHING)
    assert verdict.rows[1].verdict is Verdict.REGRESSED
    assert verdict.outcome is Outcome.PASS


def test_rows_without_pairs_are_judged_against_the_accepted_sessions():
    verdict = judge_session(paired_session({0: 0.0}, slowdown={3: 1.4}), store(five_nights()))
    assert verdict.rows[3].verdict is Verdict.REGRESSED
    assert verdict.rows[3].pairs == 0


def test_paired_are_the_suspects_the_undecided_and_those_without_a_baseline():
    accepted = five_nights()
    session = noisy_session(9, rows=8, slowdown={0: 1.4})
    found = to_pair(session, store(accepted))
    assert (scenario(0), "output_throughput") in found
    assert {key[0] for key in found} >= {scenario(3)}  # rows 6 and 7 were never accepted
    assert (scenario(1), "ttft") not in found
    assert len(to_pair(noisy_session(9), NOTHING)) == 6
    assert to_pair(make_session(9, session.rows, valid=False, reasons=["busy"]), store(accepted)) == []


def test_an_undecided_row_is_paired():
    accepted = store(five_nights(noise=0.2))
    session = noisy_session(9, noise=0.2)
    verdict = judge_session(session, accepted)
    undecided = [row.key for row in verdict.rows if row.verdict is Verdict.INCONCLUSIVE]
    assert undecided
    assert set(undecided) <= set(to_pair(session, accepted))


def test_a_row_keeps_its_own_thresholds_in_pairs():
    row = in_pairs(noisy_session(9).rows[0], 0.08, 3)
    own = make_row(row.launches, pairs=row.pairs, tolerance_pct=15.0, margin_pct=30.0)
    verdict = judge_session(make_session(9, [own]), NOTHING)
    assert verdict.rows[0].verdict is Verdict.PASS
    assert dataclasses.asdict(verdict.rows[0])["tolerance_pct"] == 15.0
