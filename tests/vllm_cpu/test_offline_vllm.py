"""Offline generation in vLLM on the CPU: one item a scenario of scenarios/vllm-cpu.toml."""

import pytest

pytestmark = [pytest.mark.vllm_cpu, pytest.mark.matrix("vllm-cpu.toml")]


def test_generate(scenario, measure, publish, judge):
    """As on a GPU: exact work, outputs near the reference, and speed held against accepted sessions."""
    publish(scenario, measure(scenario))
    judge(scenario)


@pytest.mark.suite
def test_suite(judge_suite):
    """The geometric mean of all gated rows holds."""
    judge_suite()
