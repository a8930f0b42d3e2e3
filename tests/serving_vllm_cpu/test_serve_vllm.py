"""A server of vLLM's build for CPUs under the load client: one item a scenario of scenarios/serving-vllm-cpu.toml."""

import pytest

pytestmark = [pytest.mark.serving_vllm_cpu, pytest.mark.matrix("serving-vllm-cpu.toml")]


def test_serve(scenario, measure, publish, judge):
    """As on a GPU: every token accounted for, outputs near the reference, and speed held against accepted sessions."""
    publish(scenario, measure(scenario))
    judge(scenario)


def test_both_load_clients_measure_the_same_things(both_clients):
    """A few percent are not judged on two cores that others use: an engine that spins beside a busy neighbour is 3
    times slower. What one client has in other units (ms for s), or of a request instead of its 32 tokens, is 32 times
    off or more. Failed requests, and other numbers of tokens than were asked for, make the row INVALID.
    """
    agreement = both_clients("serve.bf16.crosscheck.c4.p32.o32")
    assert agreement.factor < 8, str(agreement)


@pytest.mark.suite
def test_suite(judge_suite):
    """The geometric mean of all gated rows holds."""
    judge_suite()
