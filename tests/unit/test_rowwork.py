"""Which steps of a row have a time that was measured, and how much each of them reads and computes."""

from __future__ import annotations

from typing import Any

import pytest

from tokgate.models.catalog import load_model
from tokgate.plan import Traffic, Users
from tokgate.roofline import work_of
from tokgate.rowwork import row_work
from tokgate.scenario import Group, Scenario

pytestmark = pytest.mark.unit

QWEN = load_model("qwen2.5-0.5b").shape
NGRAM = {"speculative_config": {"method": "ngram", "num_speculative_tokens": 4}}
DECODE = {"decode_bytes", "decode_flop"}
PREFILL = {"prefill_bytes", "prefill_flop"}


def row(batch: int = 8, engine: str = "vllm", traffic: Traffic | None = None) -> Scenario:
    return Scenario(Group("qwen2.5-0.5b", "q", engine, "fp16", device="gpu"), batch, 128, 256, traffic=traffic)


def figures(batch: int) -> dict[str, float]:
    return work_of(QWEN, "vllm", "fp16", batch, 128, 256).figures()


def test_an_offline_row_has_both_its_steps() -> None:
    assert row_work(row(1), QWEN, {}, {}) == figures(1)
    assert row_work(row(1), QWEN, {}, {}).keys() == DECODE | PREFILL


@pytest.mark.parametrize(
    ("settings", "engine", "at_once"),
    [
        ({"max_num_seqs": 2}, {}, 2),
        ({"max_num_seqs": 4}, {"max_num_seqs": "2"}, 2),
        ({}, {"max_num_seqs": "1024"}, 8),
        ({"max_num_seqs": None}, {"max_num_seqs": "unknown"}, 8),
        ({}, {}, 8),
    ],
)
def test_a_step_is_of_as_many_sequences_as_the_engine_takes_at_once(
    settings: dict[str, Any], engine: dict[str, str], at_once: int
) -> None:
    assert row_work(row(8), QWEN, settings, engine) == figures(at_once)


def test_prefill_is_of_the_batch_whatever_is_taken_at_once() -> None:
    """One at a time is no batch of one: the median time to a first token holds the wait for the others."""
    found = row_work(row(8), QWEN, {"max_num_seqs": 1}, {})
    assert found == {name: value for name, value in figures(1).items() if name in DECODE}


@pytest.mark.parametrize(
    ("settings", "engine", "width"),
    [
        ({}, {}, 2),
        ({"kv_cache_dtype": "fp8"}, {}, 1),
        ({"kv_cache_dtype": "fp8_e5m2"}, {"kv_cache_dtype": "fp8_e5m2"}, 1),
        ({}, {"kv_cache_dtype": "fp8_e4m3"}, 1),
        ({"kv_cache_dtype": "auto"}, {"kv_cache_dtype": "auto"}, 2),
        ({"kv_cache_dtype": "bfloat16"}, {"kv_cache_dtype": "bfloat16"}, 2),
        ({"kv_cache_dtype": "fp8"}, {"kv_cache_dtype": "auto"}, 2),
    ],
)
def test_the_cache_is_read_as_wide_as_the_engine_says_that_it_is_or_else_was_told(
    settings: dict[str, Any], engine: dict[str, str], width: int
) -> None:
    """One that cannot do FP8 says that it did without."""
    for rows in (row(1), row(8), row(8, "serve", Traffic(32))):
        found = row_work(rows, QWEN, settings, engine)["decode_bytes"]
        assert figures(rows.batch)["decode_bytes"] - found == QWEN.kv_bytes(rows.batch, 256, 2 - width)


@pytest.mark.parametrize(
    ("settings", "engine"),
    [(NGRAM, {}), ({}, {"speculation": "eagle3 3"}), (NGRAM, {"speculation": "ngram 4"})],
)
def test_where_tokens_are_speculated_a_token_is_no_step(settings: dict[str, Any], engine: dict[str, str]) -> None:
    assert row_work(row(1), QWEN, settings, engine).keys() == PREFILL
    assert row_work(row(8), QWEN, settings, engine) == {}
    assert row_work(row(8, "serve", Traffic(32)), QWEN, settings, engine) == {}


def test_without_speculation_it_is() -> None:
    assert row_work(row(), QWEN, {"speculative_config": None}, {"speculation": "none"}).keys() == DECODE


USERS = Users("chat", True, 10.0, (0.5, 3.0), 60.0)


@pytest.mark.parametrize(
    ("traffic", "remote", "steps"),
    [
        (Traffic(32), False, DECODE),
        (Traffic(32), True, set()),
        (Traffic(32, prompts="mixed"), False, set()),
        (Traffic(32, open_share=0.5), False, set()),
        (Traffic(32, users=USERS), False, set()),
    ],
)
def test_of_a_server_the_decode_steps_of_a_closed_loop(traffic: Traffic, remote: bool, steps: set[str]) -> None:
    for batch in (1, 8):
        assert row_work(row(batch, "serve", traffic), QWEN, {}, {}, remote).keys() == steps
