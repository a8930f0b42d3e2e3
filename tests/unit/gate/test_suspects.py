"""Which rows are measured again in fresh launches: those that these could clear, and no others."""

from __future__ import annotations

import msgspec
import pytest

from gate.examples import five_nights, make_session, noisy_rows, noisy_session, scenario, store
from tokgate.gate.judge import judge_session, suspects
from tokgate.gate.reference import reference
from tokgate.gate.rows import case_of, screened
from tokgate.gate.ruling import Levels
from tokgate.gate.verdict import Verdict

pytestmark = pytest.mark.unit


def verdicts(session, baselines):
    return [row.verdict for row in judge_session(session, baselines).rows]


def test_suspects_are_the_gated_rows_that_fresh_launches_could_clear():
    baselines = store(five_nights())
    slow = noisy_session(9, slowdown={1: 1.1, 4: 0.8})
    assert suspects(slow, baselines) == [(scenario(0), "ttft")]
    assert suspects(noisy_session(8), store([])) == []
    invalid = msgspec.structs.replace(slow, valid=False, reasons=["swap"])
    assert suspects(invalid, baselines) == []


def test_a_row_that_looks_slow_and_is_not_regressed_is_not_measured_again():
    baselines = store(five_nights())
    slower = noisy_session(9, slowdown={1: 1.04})
    held = reference(slower, baselines)
    assert screened(case_of(slower.rows[1], held, "cpu"), slower.rows[1].launches, Levels())
    assert verdicts(slower, baselines)[1] is Verdict.PASS
    assert suspects(slower, baselines) == []


def test_where_the_mean_is_regressed_all_that_look_slow_are_measured_again():
    baselines = store(five_nights())
    slower = noisy_session(9, slowdown=1.04)
    judged = judge_session(slower, baselines)
    assert judged.suite.verdict is Verdict.REGRESSED
    assert {row.verdict for row in judged.rows} == {Verdict.PASS, Verdict.REGRESSED}
    assert suspects(slower, baselines) == [row.key for row in slower.rows]


@pytest.mark.parametrize("slowdown", [1.02, 1.05, 1.08, 1.12, 1.2, 1.3])
def test_a_row_is_screened_and_judged_alike_alone_and_beside_groups_that_were_accepted_apart(slowdown):
    """FP16 and INT8 are often measured and accepted in sessions of their own, and then one run has both."""
    quiet, noisy = "qwen2.5-7b-dummy.vllm.fp16", "qwen2.5-7b-dummy.vllm.int8"

    def rows(group, number, noise, factor):
        return [
            msgspec.structs.replace(row, scenario=scenario(index, group), metric="output_throughput")
            for index, row in enumerate(noisy_rows(number, rows=12, noise=noise, slowdown=factor)[::2])
        ]

    def night(number, factor=1.0):
        return [rows(quiet, number, 0.002, factor), rows(noisy, number + 50, 0.03, factor)]

    baselines = store(make_session(2 * number + which, night(number)[which]) for number in range(5) for which in (0, 1))
    groups = night(9, slowdown)
    whole = make_session(99, [*groups[0], *groups[1]], family_size=12)
    beside = {row.key: row for row in judge_session(whole, baselines).rows}
    for own in groups:
        apart = make_session(99, own, family_size=12)
        alone = {row.key: row for row in judge_session(apart, baselines).rows}
        assert alone == {key: beside[key] for key in alone}
        slow = [key for key, row in alone.items() if row.verdict is Verdict.REGRESSED]
        assert suspects(apart, baselines, mean_too=False) == slow
    if slowdown > 1.1:
        assert Verdict.REGRESSED in {row.verdict for row in beside.values()}


def test_the_mean_is_no_reason_to_measure_again_where_it_will_not_be_judged():
    slower = noisy_session(9, slowdown=1.04)
    baselines = store(five_nights())
    regressed = [row.key for row in judge_session(slower, baselines).rows if row.verdict is Verdict.REGRESSED]
    assert suspects(slower, baselines, mean_too=False) == regressed
