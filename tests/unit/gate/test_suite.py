from __future__ import annotations

import msgspec
import pytest

from gate.examples import five_nights, noisy_rows, noisy_session, scenario, store
from tokgate.gate.judge import judge_session
from tokgate.gate.verdict import Verdict

pytestmark = pytest.mark.unit


def test_a_part_of_the_profile_has_no_suite_row():
    now = noisy_session(9)
    part = msgspec.structs.replace(now, rows=now.rows[:4], family_size=6)
    judged = judge_session(part, store(five_nights()))
    assert judged.suite.verdict is None
    assert "4 of 6 rows measured" in judged.suite.why[0]


def test_the_suite_is_the_geometric_mean_of_the_gated_rows():
    judged = judge_session(noisy_session(9, rows=12, slowdown=1.1), store(five_nights(rows=12)))
    assert judged.suite.rows == 12
    assert judged.suite.sessions == 5
    assert judged.suite.change_pct == pytest.approx(10, abs=1)
    assert judged.suite.verdict is Verdict.REGRESSED


def test_a_night_on_which_everything_moved_is_told_from_one_row():
    baselines = store(five_nights(rows=12))
    software = {"onnxruntime": "1.32.0"}
    together = judge_session(noisy_session(9, rows=12, slowdown=1.12, software=software), baselines)
    alone = judge_session(noisy_session(9, rows=12, slowdown={3: 1.12}), baselines)
    assert any("everything moved by" in note and "12 of 12" in note for note in together.notes)
    assert any("onnxruntime 1.31.1 -> 1.32.0" in note for note in together.notes)
    assert alone.notes == ()


def test_a_new_scenario_does_not_cost_the_others_their_suite():
    """The row that has one accepted session is left out until it has two."""
    nights = five_nights(rows=6)
    nights[4] = noisy_session(4, rows=8)
    judged = judge_session(noisy_session(9, rows=8), store(nights))
    assert judged.suite.verdict is Verdict.PASS
    assert judged.suite.rows == 6
    assert judged.row(scenario(3), "ttft").verdict is Verdict.INCONCLUSIVE


def test_fresh_launches_veto_the_suite_too():
    slow = noisy_session(9, slowdown=1.2)
    fresh = noisy_rows(9)
    rows = [msgspec.structs.replace(old, confirm=new.launches) for old, new in zip(slow.rows, fresh, strict=True)]
    judged = judge_session(msgspec.structs.replace(slow, rows=rows), store(five_nights()))
    assert judged.suite.verdict is Verdict.INCONCLUSIVE
