"""Offline generation on two GPUs: an item a scenario, which judges all the scenario's rows."""

import pytest

pytestmark = [pytest.mark.gpu, pytest.mark.matrix("gpu-tp2.toml")]


def test_generate(scenario, measure, publish, judge):
    """Throughput, TTFT and accuracy hold against the sessions accepted for this machine."""
    publish(scenario, measure(scenario))
    judge(scenario)


@pytest.mark.suite
def test_suite(judge_suite):
    """The geometric mean of all gated rows holds: a small slowdown common to all shows here first."""
    judge_suite()
