"""vLLM's server under a streaming load client, on a GPU: an item a scenario, which judges all the scenario's rows."""

import pytest

pytestmark = [pytest.mark.serving, pytest.mark.matrix("serving-gpu.toml")]

CACHED, NOT_CACHED = "serve.fp16.cached.shared.c50.p1024.o128", "serve.fp16.nocache.shared.c50.p1024.o128"


def test_serve(scenario, measure, publish, judge):
    """Every token accounted for; throughput, TTFT and TPOT hold against the sessions accepted for this machine."""
    publish(scenario, measure(scenario))
    judge(scenario)


def test_ten_requests_at_once_are_as_fast_as_one_batch_of_ten(compare):
    """Within a tenth of each other: the server, its front end and the client in between take no more."""
    compare("output_throughput", "serve.fp16.c10.p512.o512", "vllm.fp16.b10.p512.o512").within_pct(10)


def test_short_prompts_wait_less_for_long_ones_that_are_prefilled_in_pieces(compare):
    """What chunked prefill is for: two prompts of a few tokens beside two of 3,500."""
    chunked, whole = "serve.fp16.chunked.mixed.c4.p3500.o64", "serve.fp16.nochunked.mixed.c4.p3500.o64"
    compare("short_ttft", chunked, whole).not_above()


def test_a_kept_prefix_is_not_computed_again(compare):
    """With three quarters of each prompt in the cache, the first token comes no later than without it."""
    compare("ttft", CACHED, NOT_CACHED).not_above()


def test_a_kept_prefix_leaves_time_for_more_tokens(compare):
    """What is not computed for one request is there for the others."""
    compare("output_throughput", NOT_CACHED, CACHED).not_above()


def test_both_load_clients_say_the_same(both_clients):
    """vllm bench serve and tokgate's client, in turn on one server: within 3%, and ours is never the later one."""
    both_clients("serve.fp16.crosscheck.c50.p512.o512").agree_within_pct(3)


@pytest.mark.suite
def test_suite(judge_suite):
    """The geometric mean of all gated rows holds: a small slowdown common to all shows here first."""
    judge_suite()
