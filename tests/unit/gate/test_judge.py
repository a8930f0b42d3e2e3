"""The whole gate on example nights: what is promised of it, from verdict to outcome."""

from __future__ import annotations

import random
import time

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gate.examples import (
    MACHINE,
    five_nights,
    make_row,
    make_session,
    noisy_rows,
    noisy_session,
    one_row_nights,
    scenario,
    store,
)
from tokgate.gate.judge import judge_session
from tokgate.gate.rows import VETO
from tokgate.gate.verdict import Outcome, Verdict
from tokgate.session import Session

pytestmark = pytest.mark.unit

ORDER = [Verdict.IMPROVED, Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.REGRESSED]


def verdicts(session, baselines):
    return [row.verdict for row in judge_session(session, baselines).rows]


@pytest.mark.parametrize("rows", [6, 24])
@pytest.mark.parametrize("launches", [1, 2, 3, 6])
def test_five_quiet_nights_pass_a_sixth_and_fail_one_20_percent_slower(rows, launches):
    """What continuous integration does with a real session's copies: no seed of twenty may fail it."""
    for seed in range(0, 200, 10):
        nights = [noisy_session(seed + n, rows=rows, launches=launches) for n in range(7)]
        baselines = store(nights[:5])
        assert judge_session(nights[5], baselines).outcome is Outcome.PASS
        slow = noisy_session(seed + 6, rows=rows, launches=launches, slowdown=1.2)
        judged = judge_session(slow, baselines)
        assert judged.outcome is Outcome.FAIL
        assert {row.verdict for row in judged.rows} == {Verdict.REGRESSED}
        assert judged.suite.verdict is Verdict.REGRESSED


def test_one_slow_row_is_named_and_the_others_pass():
    baselines = store(five_nights(rows=12))
    judged = judge_session(noisy_session(9, rows=12, slowdown={3: 1.15}), baselines)
    (row,) = [row for row in judged.rows if row.verdict is Verdict.REGRESSED]
    assert row.key == (scenario(1), "ttft")
    assert row.change_pct == pytest.approx(15, abs=2)
    assert row.ci_pct[0] > row.tolerance_pct == 2
    assert (row.sessions, row.last_session, row.last_started[:10]) == (5, "night-004", "2026-01-05")
    assert row.current_value == pytest.approx(row.baseline_value * (1 + row.change_pct / 100))
    assert "one stage" in " ".join(row.why)
    assert judged.suite.verdict is Verdict.PASS


def test_an_improvement_is_no_failure():
    judged = judge_session(noisy_session(9, slowdown=1 / 1.3), store(five_nights()))
    assert judged.outcome is Outcome.PASS
    assert {row.verdict for row in judged.rows} == {Verdict.IMPROVED}


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(0.85, 1.3))
def test_units_do_not_matter(factor, slowdown):
    def scaled(session):
        rows = [
            msgspec.structs.replace(row, launches=[[v * factor for v in launch] for launch in row.launches])
            for row in session.rows
        ]
        return msgspec.structs.replace(session, rows=rows)

    nights, now = five_nights(), noisy_session(9, slowdown=slowdown)
    assert verdicts(scaled(now), store(map(scaled, nights))) == verdicts(now, store(nights))


@settings(max_examples=25, deadline=None)
@given(st.floats(0.7, 1.4), st.floats(1.0, 1.5), st.floats(0.001, 0.05))
def test_a_slower_session_is_never_judged_better(slowdown, more, noise):
    baselines = store(five_nights(noise=noise))
    before = verdicts(noisy_session(9, noise=noise, slowdown=slowdown), baselines)
    after = verdicts(noisy_session(9, noise=noise, slowdown=slowdown * more), baselines)
    assert all(ORDER.index(b) >= ORDER.index(a) for a, b in zip(before, after, strict=True))


@settings(max_examples=25, deadline=None)
@given(st.floats(0.85, 1.3), st.randoms(use_true_random=False))
def test_the_order_of_launches_and_sessions_is_irrelevant(slowdown, shuffler):
    def shuffled(session):
        rows = [
            msgspec.structs.replace(row, launches=shuffler.sample(row.launches, len(row.launches)))
            for row in shuffler.sample(session.rows, len(session.rows))
        ]
        return msgspec.structs.replace(session, rows=rows)

    nights, now = five_nights(), noisy_session(9, slowdown=slowdown)
    first = judge_session(now, store(nights))
    second = judge_session(shuffled(now), store(map(shuffled, shuffler.sample(nights, 5))))
    assert {row.key: row for row in first.rows} == {row.key: row for row in second.rows}
    assert first.suite.change_pct == pytest.approx(second.suite.change_pct)


def test_a_rate_and_a_time_of_the_same_work_are_judged_alike():
    """Without a tolerance in the way, throughput and its inverse get the same bounds on the log scale."""
    rng = np.random.default_rng(11)
    times = np.exp(rng.normal(0, 0.01, (6, 3)))

    def night(number, values):
        name = scenario(0)
        rate = make_row((1 / values[:, None]).tolist(), scenario=name, tolerance_pct=0.0)
        wait = make_row(
            values[:, None].tolist(),
            scenario=name,
            metric="ttft",
            unit="s",
            better="lower",
            tolerance_pct=0.0,
        )
        return make_session(number, [rate, wait])

    baselines = store(night(number, times[number]) for number in range(5))
    for slowdown in (0.8, 0.95, 1.0, 1.05, 1.3):
        rate, wait = judge_session(night(9, times[5] * slowdown), baselines).rows
        assert rate.verdict is wait.verdict
        assert 1 - rate.change_pct / 100 == pytest.approx(1 / (1 + wait.change_pct / 100))


def test_false_red_nights_stay_below_one_in_a_hundred():
    """150 unchanged nights of 24 rows, each with its own baseline, a night effect and slowed launches."""
    rng = np.random.default_rng(12)
    reds = 0
    for _ in range(150):
        sds = rng.uniform(0.0075, 0.0225, 24)
        y = rng.normal(0, 1, (6, 24)) * sds + rng.normal(0, 0.01, (6, 1))
        launches = y[..., None] + rng.normal(0, 0.015, (6, 24, 6))
        launches += (rng.random(launches.shape) < 0.08) * np.log1p(0.4 * rng.random(launches.shape))
        nights = [
            make_session(
                number,
                [make_row(np.exp(-y[row])[:, None].tolist(), scenario=scenario(row)) for row in range(24)],
            )
            for number, y in enumerate(launches)
        ]
        reds += judge_session(nights[5], store(nights[:5])).outcome is Outcome.FAIL
    assert reds <= 150 * 0.01


def test_fresh_launches_can_only_veto():
    baselines = store(five_nights())
    slow = noisy_session(9, slowdown={2: 1.3})
    fresh, still = noisy_rows(9, launches=3)[2], noisy_rows(9, slowdown={2: 1.3})[2]

    def confirmed_by(row):
        rows = [
            msgspec.structs.replace(old, confirm=row.launches) if number == 2 else old
            for number, old in enumerate(slow.rows)
        ]
        return judge_session(msgspec.structs.replace(slow, rows=rows), baselines).rows[2]

    vetoed, stands = confirmed_by(fresh), confirmed_by(still)
    assert vetoed.verdict is Verdict.INCONCLUSIVE
    assert vetoed.confirmed is False
    assert VETO in " ".join(vetoed.why)
    assert stands.verdict is Verdict.REGRESSED
    assert stands.confirmed is True
    quiet = noisy_session(9)
    rows = [msgspec.structs.replace(row, confirm=[[v * 2 for v in row.launches[0]]]) for row in quiet.rows]
    unmoved = judge_session(msgspec.structs.replace(quiet, rows=rows), baselines)
    assert unmoved.outcome is Outcome.PASS


def test_one_accepted_session_is_provisional():
    baselines = store([noisy_session(0)])
    judged = judge_session(noisy_session(1, slowdown={0: 1.2, 1: 1.3}), baselines)
    assert [row.verdict for row in judged.rows[:3]] == [
        Verdict.INCONCLUSIVE,
        Verdict.REGRESSED,
        Verdict.INCONCLUSIVE,
    ]
    assert "provisional: 1 accepted session; accept 4 more" in judged.rows[0].why
    assert judged.rows[0].ci_pct is None
    assert judged.suite.verdict is None


def test_a_disturbed_minority_of_launches_is_reported_and_not_gated():
    baselines = store(five_nights(launches=6))
    now = noisy_session(9, launches=6)
    row = now.rows[1]
    disturbed = [[v * 1.4 for v in launch] if n < 2 else launch for n, launch in enumerate(row.launches)]
    now = msgspec.structs.replace(
        now, rows=[now.rows[0], msgspec.structs.replace(row, launches=disturbed), *now.rows[2:]]
    )
    judged = judge_session(now, baselines).rows[1]
    assert judged.verdict is Verdict.PASS
    assert (judged.slow_launches, judged.launches) == (2, 6)
    assert "slow in 2 of 6 launches" in " ".join(judged.why)


def test_a_noisy_row_is_called_blind_and_says_what_would_settle_it():
    deltas = [0.0, 0.05, -0.04, 0.03, -0.05]
    baselines = store(one_row_nights(deltas, machine={"id": MACHINE, "kind": "gpu"}))
    now = make_session(9, [make_row([[97.0]])], machine={"id": MACHINE, "kind": "gpu"})
    judged = judge_session(now, baselines)
    (row,) = judged.rows
    assert judged.outcome is Outcome.INCONCLUSIVE
    assert judged.blind == [row]
    assert row.mde_pct > row.margin_pct == 6
    assert "compare in pairs" in " ".join(row.why)


def test_ungated_rows_do_not_lend_their_variance_to_the_others():
    """A peak of memory repeats to the byte; its variance says nothing of a time's."""

    def with_memory(session: Session) -> Session:
        peaks = [
            make_row([[1e9]], scenario=scenario(n), metric="peak_memory", unit="B", better="lower", gated=False)
            for n in range(3)
        ]
        return msgspec.structs.replace(session, rows=[*session.rows, *peaks])

    now = noisy_session(9)
    plain = judge_session(now, store(five_nights()))
    mixed = judge_session(with_memory(now), store(map(with_memory, five_nights())))
    assert mixed.rows[: len(plain.rows)] == plain.rows
    assert mixed.outcome is plain.outcome


def test_a_hundred_sessions_are_judged_in_two_seconds():
    baselines = store(noisy_session(n, rows=24, launches=6, iterations=10) for n in range(10))
    now = [noisy_session(100 + n, rows=24, launches=6, iterations=10) for n in range(20)]
    seconds = []
    for _ in range(3):
        started = time.process_time()
        assert {judge_session(session, baselines).outcome for session in now} == {Outcome.PASS}
        seconds.append(time.process_time() - started)
    assert min(seconds) / len(now) * 100 < 2


def test_verdicts_do_not_depend_on_the_order_of_judging():
    baselines = store(five_nights())
    sessions = [noisy_session(n, slowdown=1 + n / 100) for n in range(10, 20)]
    forward = {session.id: verdicts(session, baselines) for session in sessions}
    random.Random(0).shuffle(sessions)
    assert {session.id: verdicts(session, store(five_nights())) for session in sessions} == forward
