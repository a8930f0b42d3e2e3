"""vLLM's server of Qwen2.5-7B on a GPU, which sets the pace there: an item a scenario, which judges all its rows."""

import pytest

pytestmark = [pytest.mark.serving, pytest.mark.matrix("serving-gpu-qwen2.5-7b.toml")]


def test_serve(scenario, measure, publish, judge):
    """Every token accounted for; throughput, TTFT and TPOT hold against the sessions accepted for this machine."""
    publish(scenario, measure(scenario))
    judge(scenario)


def test_ten_requests_at_once_are_as_fast_as_one_batch_of_ten(compare):
    """Within a tenth of each other: the server, its front end and the client in between take no more."""
    compare("output_throughput", "serve.fp16.c10.p512.o512", "vllm.fp16.b10.p512.o512").within_pct(10)


def test_both_load_clients_say_the_same(both_clients):
    """vllm bench serve and tokgate's client, in turn on one server: within 3%, and ours is never the later one."""
    both_clients("serve.fp16.crosscheck.c50.p512.o512").agree_within_pct(3)


@pytest.mark.suite
def test_suite(judge_suite):
    """The geometric mean of all gated rows holds: a small slowdown common to all shows here first."""
    judge_suite()
