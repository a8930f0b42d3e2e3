"""What stands beside a row's speed, from the telemetry of a session that may hold anything."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import GROUP, SCENARIO, USE, round_event, row, served, session

from tokgate.report.details import CacheUse, Details, details
from tokgate.session import Session

pytestmark = pytest.mark.unit


def of(found: Session) -> Details:
    (only,) = details(found, GROUP, [SCENARIO])
    return only


def test_every_figure_comes_from_where_it_was_recorded() -> None:
    assert of(session(round_event(), round_event())) == Details(
        scenario=SCENARIO,
        tok_s=16515.0,
        decode_share=pytest.approx(0.5),
        decode_bound="memory",
        energy_j=0.0153,
        gpu_share=0.5,
        power_w=400.0,
        memory_bytes=132.0 * 2**30,
        cache=CacheUse(1600, 16000),
        cache_share=0.1,
        preemptions=2.0,
        prefix_hits=0.25,
        accepted=0.2,
        cpu_s=81e-6,
    )


def test_a_step_far_from_both_limits_is_overhead() -> None:
    assert of(session(rows=[row("tpot", 0.02, "s")])).decode_bound == "overhead"


def test_power_and_utilisation_of_a_short_round_are_those_of_what_was_before() -> None:
    """NVML gives means of up to a second."""
    found = of(session(round_event(0.1, gpu={"utilization": 0.0, "power_w": 150.0}), round_event(1.5)))
    assert (found.gpu_share, found.power_w) == (0.5, 400.0)
    assert of(session(round_event(0.1))).power_w is None


def test_disturbed_rounds_count_for_nothing() -> None:
    disturbed = round_event(disturbed="others used the GPU", counters={"num_preemptions": 50.0}, kv_cache={})
    assert of(session(round_event(), disturbed)).preemptions == 2.0


def test_the_cache_shows_the_round_that_used_most() -> None:
    low = round_event(kv_cache={"peak_blocks": 7, "blocks": 1000, "block_tokens": 16})
    assert of(session(low, round_event())).cache == CacheUse(1600, 16000)
    unseen = round_event(kv_cache={"peak_blocks": None, "blocks": 1000, "block_tokens": 16})
    found = of(session(unseen))
    assert (found.cache, found.cache_share) == (CacheUse(None, 16000), None)


def test_what_had_no_cache_and_no_speculation_has_no_share_of_it() -> None:
    found = of(session(round_event(counters={"prefix_cache_queries": 0.0, "prefix_cache_hits": 0.0})))
    assert (found.prefix_hits, found.accepted, found.preemptions) == (None, None, None)


def test_a_served_row_shows_what_its_server_told() -> None:
    """Counts are of all rounds that stand; the cache is that of the round that used most of it."""
    low = served(kv_cache_use=0.2, preemptions=1.0, prefix_queries=100.0, prefix_hits=0.0,
                 drafted_tokens=90.0, accepted_tokens=9.0)  # fmt: skip
    high = served(kv_cache_use=0.45, preemptions=0.0, prefix_queries=300.0, prefix_hits=100.0,
                  drafted_tokens=10.0, accepted_tokens=1.0)  # fmt: skip
    found = of(session(low, high, {**served(kv_cache_use=0.99, preemptions=41.0), "disturbed": "others used the GPU"}))
    assert (found.cache, found.cache_share) == (None, 0.45)
    assert (found.preemptions, found.prefix_hits, found.accepted) == (0.5, 0.25, 0.1)


@pytest.mark.parametrize(
    "told",
    [
        {"server": None},
        {},
        {"server": asdict(USE)},
        {"server": asdict(replace(USE, prefix_queries=100.0, drafted_tokens=50.0))},
        {"server": asdict(replace(USE, prefix_queries=0.0, prefix_hits=0.0, drafted_tokens=0.0, accepted_tokens=0.0))},
    ],
    ids=["no page", "an older tokgate", "another server's page", "halves", "no cache and no speculation"],
)
def test_what_a_server_does_not_tell_is_a_gap_and_not_0(told: dict[str, Any]) -> None:
    found = of(session(round_event(kv_cache=None, counters=None, **told)))
    assert (found.cache_share, found.preemptions, found.prefix_hits, found.accepted) == (None, None, None, None)


def test_a_server_that_told_0_told_it() -> None:
    found = of(session(served(kv_cache_use=0.0, preemptions=0.0, prefix_queries=9.0, prefix_hits=0.0)))
    assert (found.cache_share, found.preemptions, found.prefix_hits) == (0.0, 0.0, 0.0)


def test_a_session_without_telemetry_has_its_rows() -> None:
    bare = session()
    bare.telemetry = {}
    found = of(bare)
    assert found.tok_s == 16515.0
    known = {"scenario", "tok_s", "energy_j", "memory_bytes", "cpu_s"}
    assert {field.name for field in fields(found) if getattr(found, field.name) is not None} == known


TOLD = (
    "groups", "work", GROUP, SCENARIO, "launches", "rounds", "scenario", "gpu", "kv_cache", "blocks", "block_tokens",
    "peak_blocks", "server", "counters", "kv_cache_use", "prefix_queries", "prefix_hits",
)  # fmt: skip
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(TOLD),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)  # the first example imports scipy.stats
@given(st.dictionaries(st.sampled_from(["groups", "work"]), JSON))
def test_telemetry_that_is_something_else_is_passed_over(telemetry: dict[str, Any]) -> None:
    made = session()
    made.telemetry = telemetry
    assert of(made).tok_s == 16515.0
