"""A server of vLLM's build for CPUs under the load client: one item a scenario of scenarios/serving-vllm-cpu.toml."""

import pytest

pytestmark = [pytest.mark.serving_vllm_cpu, pytest.mark.matrix("serving-vllm-cpu.toml")]


def test_serve(scenario, measure, publish, judge):
    """As on a GPU: every token accounted for, outputs near the reference, and speed held against accepted sessions."""
    publish(scenario, measure(scenario))
    judge(scenario)


def test_both_load_clients_are_told_beside_each_other(both_clients):
    """Told, not judged: two cores that others use too say nothing of a few percent. Failed requests fail it."""
    assert str(both_clients("serve.bf16.crosscheck.c4.p32.o32"))


@pytest.mark.suite
def test_suite(judge_suite):
    """The geometric mean of all gated rows holds."""
    judge_suite()
