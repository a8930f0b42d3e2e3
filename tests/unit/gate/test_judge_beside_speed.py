"""What decides beside speed: nothing to compare with, another machine, no belief, limits, outputs."""

from __future__ import annotations

import msgspec
import pytest

from gate.examples import (
    GROUP,
    MACHINE,
    accuracy,
    five_nights,
    make_session,
    noisy_session,
    scenario,
    store,
)
from tokgate.errors import InputError
from tokgate.gate.judge import judge_session
from tokgate.gate.limits import Limit
from tokgate.gate.verdict import Outcome, Verdict

pytestmark = pytest.mark.unit


def test_nothing_comparable_is_no_baseline_with_the_reason():
    nights = five_nights()
    now = noisy_session(9)
    other_profile = judge_session(msgspec.structs.replace(now, profile="quick"), store(nights))
    unknown = judge_session(now, store([]))
    assert other_profile.outcome is unknown.outcome is Outcome.NO_BASELINE
    assert "profile 'quick' (accepted: nightly)" in other_profile.rows[0].why[0]
    assert "tokgate accept" in unknown.rows[0].why[0]
    other_unit = msgspec.structs.replace(now, rows=[msgspec.structs.replace(row, unit="req/s") for row in now.rows])
    assert "accepted values are in tok/s" in judge_session(other_unit, store(nights)).rows[0].why[0]


def test_a_machine_whose_stable_facts_differ_has_no_baseline_and_names_them():
    def on(session, power):
        return msgspec.structs.replace(
            session, machine={"id": MACHINE, "kind": "cpu", "stable": {"power_limit_w": power}}
        )

    baselines = store([*(on(night, 400) for night in five_nights()), on(noisy_session(5), 300)])
    same = judge_session(on(noisy_session(9), 400), baselines)
    assert same.outcome is Outcome.PASS
    assert same.rows[0].sessions == 5
    other = judge_session(on(noisy_session(9), 250), baselines)
    assert other.outcome is Outcome.NO_BASELINE
    assert "power_limit_w 300 -> 250" in other.rows[0].why[0]


def test_baselines_of_another_machine_are_refused():
    with pytest.raises(InputError, match="--machine other"):
        judge_session(noisy_session(9), store([], machine_id="other"))


def test_an_accepted_session_is_not_held_against_itself():
    nights = five_nights()
    judged = judge_session(nights[2], store(nights))
    assert judged.rows[0].sessions == 4
    assert any("itself accepted" in note for note in judged.notes)


def test_an_invalid_session_is_invalid_however_fast():
    now = noisy_session(9, valid=False, reasons=["3 of 200 requests failed"])
    judged = judge_session(now, store(five_nights()))
    assert judged.outcome is Outcome.INVALID
    assert {row.verdict for row in judged.rows} == {Verdict.INVALID}
    assert judged.reasons == ("3 of 200 requests failed",)


def test_a_session_without_rows_is_invalid():
    judged = judge_session(make_session(9, []), store(five_nights()))
    assert judged.outcome is Outcome.INVALID


def test_a_broken_limit_fails_a_row_without_baseline():
    limit = Limit(scenario(0), "output_throughput", "min", 1e9, "tok/s", "a wish")
    missing = Limit(scenario(0), "success", "min", 1.0, "share", "SLO")
    judged = judge_session(noisy_session(9), store([]), [limit, missing])
    assert judged.outcome is Outcome.FAIL
    assert "a wish" in judged.rows[0].why[-1]
    assert judged.row(scenario(0), "success").verdict is Verdict.INVALID


def test_a_fast_engine_with_other_outputs_fails():
    nights = [noisy_session(number, accuracy=[accuracy()]) for number in range(5)]
    wrong = noisy_session(9, slowdown=0.5, accuracy=[accuracy(logit_distance=0.9)])
    judged = judge_session(wrong, store(nights))
    assert judged.outcome is Outcome.FAIL
    assert judged.row(GROUP, "logit_distance").verdict is Verdict.REGRESSED
    unchecked = judge_session(noisy_session(9), store(nights))
    assert unchecked.row(GROUP, "top1_agreement").verdict is Verdict.INCONCLUSIVE
    broken = accuracy(real_weights=True, top1_agreement=0.1)
    assert judge_session(noisy_session(9, accuracy=[broken]), store(nights)).outcome is Outcome.INVALID


def test_a_gated_row_that_vanished_is_no_pass():
    nights = five_nights()
    now = noisy_session(9)
    judged = judge_session(msgspec.structs.replace(now, rows=now.rows[1:]), store(nights))
    lost = judged.row(scenario(0), "output_throughput")
    assert lost is not None
    assert lost.verdict is Verdict.INVALID
    assert judged.outcome is Outcome.INVALID
