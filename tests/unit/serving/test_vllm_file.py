from __future__ import annotations

import math

import pytest

from serving.examples import RESULT, detailed, result, without
from tokgate.errors import InputError
from tokgate.serving.vllm_file import is_vllm_file, parse

pytestmark = pytest.mark.unit


def test_a_result_is_recognised_whole_or_damaged_and_nothing_else_is():
    assert is_vllm_file(RESULT)
    assert is_vllm_file(without("completed", "max_concurrency"))
    for other in ([], "text", None, {}, {"schema": 1, "rows": []}, {"benchmarks": [], "tokgate": {}}):
        assert not is_vllm_file(other)


def test_what_is_read():
    file = parse(RESULT, "results/run.json")
    assert (file.name, file.model, file.num_prompts, file.max_concurrency) == ("run.json", "Qwen/Qwen2.5-0.5B", 200, 50)
    assert file.latencies_ms["p99_tpot"] == 21.0
    assert file.mean_prompt_len == pytest.approx(512.035)
    assert file.pacing == ""
    assert file.details.errors == ()
    assert len(parse(detailed(), "run.json").details.output_lens) == 200


def test_older_versions_say_nothing_of_failures():
    assert parse(without("failed"), "run.json").failed is None


@pytest.mark.parametrize("rate", ["inf", math.inf, None])
def test_all_requests_at_once(rate):
    assert parse(result(request_rate=rate), "run.json").pacing == ""


def test_requests_spread_over_time_are_told_apart():
    assert parse(result(request_rate=5.0), "run.json").pacing == "--request-rate 5"
    assert "linear" in parse(result(ramp_up_strategy="linear"), "run.json").pacing


@pytest.mark.parametrize("key", ["num_prompts", "completed", "total_input_tokens", "total_output_tokens"])
@pytest.mark.parametrize("value", [-1, 1.5, "200", True, None, math.nan, math.inf, 10**400, [], {}])
def test_a_count_that_is_none_is_refused_by_name(key, value):
    with pytest.raises(InputError, match=rf"run\.json: {key} is .*expected a whole number"):
        parse(result(**{key: value}), "run.json")


@pytest.mark.parametrize("key", ["duration", "output_throughput", "p99_tpot_ms", "median_ttft_ms"])
@pytest.mark.parametrize("value", [-0.1, "fast", True, math.nan, math.inf, -math.inf, 10**400, []])
def test_a_figure_that_is_none_is_refused_by_name(key, value):
    with pytest.raises(InputError, match=rf"run\.json: {key} is .*expected a number"):
        parse(result(**{key: value}), "run.json")


@pytest.mark.parametrize("key", ["completed", "duration", "output_throughput", "total_output_tokens"])
def test_a_missing_key_is_named(key):
    with pytest.raises(InputError, match=f"there is no {key}"):
        parse(without(key), "run.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"errors": "none"},
        {"errors": [1]},
        {"output_lens": [512.5]},
        {"output_lens": [-1]},
        {"ttfts": [math.nan]},
        {"model_id": 3},
        {"date": "yesterday"},
        {"date": "20261399-000000"},
        {"request_rate": "slow"},
        {"request_rate": 0},
        {"duration": 0},
        {"num_prompts": 0},
        {"max_concurrency": 0},
        {"failed": "none"},
    ],
)
def test_other_faulty_values_are_refused_by_name(changes):
    with pytest.raises(InputError, match=next(iter(changes))):
        parse(result(**changes), "run.json")
