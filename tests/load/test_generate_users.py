"""POST /generate over ONNX Runtime under Locust's users: an item a scenario of scenarios/load-cpu.toml."""

import pytest

pytestmark = [pytest.mark.load, pytest.mark.matrix("load-cpu.toml")]


def test_users(scenario, measure, publish, judge):
    """No request fails; how many are served a second and how long each waits hold against accepted sessions."""
    publish(scenario, measure(scenario))
    judge(scenario)


def test_eight_bits_beside_full_precision(side_by_side, compare):
    """The assignment's table: memory, requests a second, p50, p90 and failures; INT8 is there for the memory."""
    full, int8 = "onnx.fp32.generate.ramp.c5.p7.o100", "onnx.int8.generate.ramp.c5.p7.o100"
    side_by_side(full, int8)
    compare("peak_memory", int8, full).not_above()


@pytest.mark.suite
def test_suite(judge_suite):
    """The geometric mean of all gated rows holds."""
    judge_suite()
