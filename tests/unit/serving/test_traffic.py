"""The requests of a round: exact lengths, and never the same prompt twice on one server."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.plan import PLAN_SCHEMA, SHORT_PROMPT_LEN, LaunchPlan, PlanRow, ServerPlan, Traffic
from tokgate.serving.request import Target
from tokgate.serving.traffic import Loads, requests_of

pytestmark = pytest.mark.unit


def prompts(row: PlanRow, seed: int = 1) -> list[list[int]]:
    return [json.loads(request.body)["prompt"] for request in requests_of(row, "m", 2000, seed, {})]


@given(st.integers(1, 4), st.integers(1, 40), st.integers(1, 9), st.sampled_from(["random", "repetitive", "shared"]))
def test_every_prompt_has_the_tokens_that_its_row_says(waves: int, prompt_len: int, output_len: int, kind: str) -> None:
    row = PlanRow("row", 2, prompt_len, output_len, Traffic(2 * waves, kind))
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


def loads(rows: tuple[PlanRow, ...], cpus: int = 1) -> Loads:
    plan = LaunchPlan(PLAN_SCHEMA, "serve", "", 2000, {}, 1, 2, 0, 0, 7, rows, server=ServerPlan("m"))
    return Loads(plan, Target("http", "127.0.0.1", 8000, "/v1/completions"), cpus)


def test_no_prompt_comes_twice_to_a_server_and_every_launch_sends_the_same() -> None:
    row = PlanRow("row", 2, 32, 9, Traffic(4))

    def sent() -> list[tuple[int, ...]]:
        made = loads((row,))
        of_all = [made.to_warm_up(row), made.at_capacity(row), *(made.of_round(n, row, None) for n in (0, 1, 1))]
        return [tuple(json.loads(request.body)["prompt"]) for load in of_all for request in load.requests]

    assert len(set(sent())) == len(sent()) == 2 + 4 + 3 * 4
    assert sent() == sent()


def test_a_closed_loop_has_as_many_at_once_as_its_row_and_an_open_one_a_schedule() -> None:
    row = PlanRow("row", 2, 32, 9, Traffic(4))
    closed, opened = loads((row,)).of_round(0, row, None), loads((row,)).of_round(0, row, 2.0)
    assert (closed.max_concurrency, closed.starts_s) == (2, None)
    assert opened.max_concurrency is None
    assert opened.starts_s is not None
    assert opened.starts_s[-1] == pytest.approx(2.0), "4 requests at 2 a second"


@pytest.mark.parametrize(
    ("batch", "cpus", "processes"), [(50, 64, 1), (200, 64, 2), (200, 4, 1), (400, 8, 2), (400, 1, 1)]
)
def test_more_client_processes_are_for_many_streams_where_there_are_cores(
    batch: int, cpus: int, processes: int
) -> None:
    row = PlanRow("row", batch, 8, 2, Traffic(batch))
    assert loads((row,), cpus).of_round(0, row, None).processes == processes
