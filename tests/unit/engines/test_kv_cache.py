"""The KV cache's peak: kept from the statistics of vLLM's steps, in blocks that can be used."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.engines.kv_cache import CachePeak, cache_use, watch_cache

pytestmark = pytest.mark.unit


def llm(loggers: Any) -> Any:
    return SimpleNamespace(llm_engine=SimpleNamespace(logger_manager=SimpleNamespace(stat_loggers=loggers)))


def step(peak: CachePeak, used: float) -> None:
    """As vLLM's manager of stat loggers calls it."""
    peak.record(SimpleNamespace(kv_cache_usage=used), None, mm_cache_stats=None, engine_idx=0)


@given(st.integers(1, 10**6), st.lists(st.integers(0, 10**6), min_size=1))
def test_the_peak_is_the_most_blocks_of_any_step(usable: int, steps: list[int]) -> None:
    peak = CachePeak()
    for blocks in steps:
        # As vLLM computes it, from what is free.
        step(peak, 1.0 - (usable - min(blocks, usable)) / usable)
    found = cache_use(peak, usable + 1, 16)["peak_blocks"]
    assert (found or 0) == min(max(steps), usable)


def test_a_step_without_statistics_is_passed_over() -> None:
    peak = CachePeak()
    step(peak, 0.5)
    peak.record(None, None)
    assert peak.share == 0.5


def test_it_stands_beside_the_loggers_that_are_there() -> None:
    loggers: list[Any] = ["prometheus"]
    peak = watch_cache(llm(loggers))
    assert loggers == ["prometheus", peak]


@pytest.mark.parametrize(
    "other",
    [llm(()), SimpleNamespace(llm_engine=SimpleNamespace(logger_manager=None)), SimpleNamespace(llm_engine=None)],
)
def test_a_version_without_such_loggers_tells_no_peak(other: Any) -> None:
    assert watch_cache(other) is None
    assert cache_use(None, 101, 16) == {"peak_blocks": None, "blocks": 100, "block_tokens": 16}


def test_a_cache_that_no_step_was_seen_to_use_is_not_told_as_empty() -> None:
    assert cache_use(CachePeak(), 101, 16)["peak_blocks"] is None


def test_a_cache_whose_size_is_not_known_has_no_blocks() -> None:
    peak = CachePeak()
    step(peak, 0.5)
    assert cache_use(peak, None, 16) == {"peak_blocks": None, "blocks": None, "block_tokens": 16}
