"""vLLM's server of Qwen2.5-7B on a GPU, which sets the pace there: an item a scenario, which judges all its rows."""

import pytest

pytestmark = [pytest.mark.serving, pytest.mark.matrix("serving-gpu-qwen2.5-7b.toml")]


def test_serve(scenario, measure, publish, judge):
    """Every token accounted for; throughput, TTFT and TPOT hold against the sessions accepted for this machine."""
    publish(scenario, measure(scenario))
    judge(scenario)


def test_both_load_clients_say_the_same(both_clients):
    """vllm bench serve and tokgate's client, in turn on one server: within 3%, and ours is never the later one."""
    both_clients("serve.fp16.crosscheck.c50.p512.o512").agree_within_pct(3)


@pytest.mark.suite
def test_suite(judge_suite):
    """The geometric mean of all gated rows holds: a small slowdown common to all shows here first."""
    judge_suite()
