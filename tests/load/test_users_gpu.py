"""vLLM's server and POST /generate under Locust's users, on a GPU: an item a scenario of scenarios/load-gpu.toml."""

import pytest

pytestmark = [pytest.mark.load, pytest.mark.matrix("load-gpu.toml")]


def test_users(scenario, measure, publish, judge):
    """No request fails; how many are served a second and how long each waits hold against accepted sessions."""
    publish(scenario, measure(scenario))
    judge(scenario)


def test_eight_bits_beside_half_precision(side_by_side):
    """The assignment's table: memory, requests a second, p50, p90 and failures."""
    names = [f"transformers.{precision}.generate.ramp.c5.p7.o100" for precision in ("fp16", "int8")]
    side_by_side(*names, "vllm.fp16.generate.ramp.c5.p7.o100")


@pytest.mark.suite
def test_suite(judge_suite):
    """The geometric mean of all gated rows holds."""
    judge_suite()
