"""Offline generation in ONNX Runtime GenAI: one item a scenario of scenarios/genai-cpu.toml."""

import pytest

pytestmark = [pytest.mark.genai_cpu, pytest.mark.matrix("genai-cpu.toml")]


def test_generate(scenario, measure, publish, judge):
    """Throughput, TTFT and accuracy hold against the sessions accepted for this machine."""
    publish(scenario, measure(scenario))
    judge(scenario)


@pytest.mark.suite
def test_suite(judge_suite):
    """The geometric mean of all gated rows holds."""
    judge_suite()
