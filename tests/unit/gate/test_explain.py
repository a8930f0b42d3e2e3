from __future__ import annotations

import msgspec
import pytest

from gate.examples import make_row, make_session, scenario, store
from tokgate.gate.explain import movements

pytestmark = pytest.mark.unit


def night(number, prefill=0.1, decode=0.02, launches=4, **changes):
    common = {"scenario": scenario(0), "unit": "s", "better": "lower", "gated": False}
    wobble = 1 + 0.001 * (number % 3)
    return make_session(
        number,
        [
            make_row([[50 / wobble]] * launches, scenario=scenario(0)),
            make_row([[prefill * wobble]] * launches, metric="ttft", **common),
            make_row([[decode * wobble]] * launches, metric="tpot", **common),
        ],
        **changes,
    )


def test_the_part_that_moved_comes_first_with_its_launches():
    baselines = store(night(number) for number in range(5))
    decode, prefill = movements(night(9, decode=0.025), baselines, scenario(0))
    assert (decode.part, decode.moved, decode.slow_launches, decode.launches) == ("decode", True, 4, 4)
    assert decode.change_pct == pytest.approx(25, abs=0.5)
    assert not prefill.moved
    assert str(decode).startswith("decode (tpot) 24.9% slower, ")
    assert "in 4 of 4 launches" in str(decode)


def test_a_scenario_without_parts_or_baseline_has_no_movements():
    baselines = store(night(number) for number in range(5))
    assert movements(night(9), baselines, scenario(7)) == []
    assert movements(night(9), store([]), scenario(0)) == []
    assert movements(msgspec.structs.replace(night(9), profile="quick"), baselines, scenario(0)) == []
