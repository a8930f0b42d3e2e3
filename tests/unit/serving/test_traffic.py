"""The requests of a round: exact lengths, and never the same prompt twice on one server."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.plan import SHORT_PROMPT_LEN, PlanRow, Traffic
from tokgate.serving.traffic import requests_of

pytestmark = pytest.mark.unit


def prompts(row: PlanRow, seed: int = 1) -> list[list[int]]:
    return [json.loads(request.body)["prompt"] for request in requests_of(row, "m", 2000, seed, {})]


@given(st.integers(1, 4), st.integers(1, 40), st.integers(1, 9), st.sampled_from(["random", "repetitive", "shared"]))
def test_every_prompt_has_the_tokens_that_its_row_says(waves: int, prompt_len: int, output_len: int, kind: str) -> None:
    row = PlanRow("row", 2, prompt_len, output_len, Traffic(2 * waves, kind))  # type: ignore[arg-type]  # one of Prompts
    requests = requests_of(row, "m", 2000, 1, {})
    assert [len(json.loads(request.body)["prompt"]) for request in requests] == [prompt_len] * 2 * waves
    assert sum(request.prompt_len for request in requests) == row.prompt_tokens
    assert all(request.output_len == output_len and request.exact for request in requests)


def test_a_body_asks_for_a_greedy_stream_of_just_so_many_tokens_with_usage() -> None:
    (request, _) = requests_of(PlanRow("row", 2, 5, 7, Traffic(2)), "tiny-dummy", 2000, 1, {})
    body = json.loads(request.body)
    assert {name: value for name, value in body.items() if name != "prompt"} == {
        "model": "tiny-dummy", "max_tokens": 7, "temperature": 0.0, "ignore_eos": True, "stream": True,
        "stream_options": {"include_usage": True},
    }  # fmt: skip


def test_sampling_goes_before_greedy_decoding() -> None:
    (request,) = requests_of(PlanRow("row", 1, 5, 7, Traffic(1)), "m", 2000, 1, {"temperature": 1.0, "seed": 7})
    assert (json.loads(request.body)["temperature"], json.loads(request.body)["seed"]) == (1.0, 7)


def test_another_seed_makes_other_prompts_and_the_same_seed_the_same() -> None:
    row = PlanRow("row", 4, 32, 1, Traffic(8))
    assert prompts(row, 1) == prompts(row, 1)
    assert not {tuple(prompt) for prompt in prompts(row, 1)} & {tuple(prompt) for prompt in prompts(row, 2)}


def test_shared_prompts_have_three_quarters_in_common_and_no_more() -> None:
    found = prompts(PlanRow("row", 4, 64, 1, Traffic(8, "shared")))
    assert len({tuple(prompt[:48]) for prompt in found}) == 1
    assert len({tuple(prompt[48:]) for prompt in found}) == 8


def test_of_mixed_prompts_half_of_those_at_once_are_short() -> None:
    row = PlanRow("row", 4, 3500, 1, Traffic(8, "mixed"))
    lengths = [len(prompt) for prompt in prompts(row)]
    assert lengths == row.prompt_lens == 2 * [3500, 3500, SHORT_PROMPT_LEN, SHORT_PROMPT_LEN]
    assert row.prompt_tokens == sum(lengths)
