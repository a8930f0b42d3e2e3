"""What a server told of itself, as an explanation of a slower row."""

from __future__ import annotations

import pytest

from tokgate.gate.served import served_changes, served_figures

pytestmark = pytest.mark.unit

QUIET = {"preemptions": 0.0, "kv_cache_use": 0.45, "waiting": 0.0, "running": 50.0}


def test_rounds_make_one_figure_each() -> None:
    rounds = [
        {**QUIET, "preemptions": 1.0, "prefix_queries": 100.0, "prefix_hits": 75.0, "drafted_tokens": None},
        {**QUIET, "preemptions": 2.0, "prefix_queries": 100.0, "prefix_hits": 25.0, "drafted_tokens": 0.0},
    ]
    assert served_figures(rounds) == {**QUIET, "preemptions": 1.5, "prefix_hit_share": 0.5}
    assert served_figures([]) == {}


def test_what_is_beyond_all_that_was_accepted_is_told_before_and_now() -> None:
    now = {**QUIET, "preemptions": 41.0, "kv_cache_use": 0.99}
    assert served_changes(now, [QUIET, QUIET]) == ["preemptions 0 -> 41", "KV cache use 45% -> 99%"]


@pytest.mark.parametrize(
    ("figure", "before", "now"),
    [
        ("kv_cache_use", [0.40, 0.50], 0.54),
        ("preemptions", [40.0, 60.0], 50.0),
        ("preemptions", [0.0, 0.0], 0.3),
        ("running", [50.0, 50.0], 52.0),
        ("rate", [0.50, 0.55], 0.57),
    ],
)
def test_what_varies_like_this_anyhow_is_not_told(figure: str, before: list[float], now: float) -> None:
    assert served_changes({figure: now}, [{figure: value} for value in before]) == []


def test_another_rate_of_an_open_loop_is_another_load_and_told_however_small() -> None:
    assert served_changes({"rate": 0.6}, [{"rate": 0.5}, {"rate": 0.55}]) == ["requests sent a second 0.525 -> 0.6"]
    assert served_changes({"rate": 41.26}, [{"rate": 45.0}]) == ["requests sent a second 45 -> 41.3"]


def test_fewer_hits_and_drafts_are_told_too() -> None:
    before = {"prefix_hit_share": 0.75, "acceptance": 0.6}
    assert served_changes({"prefix_hit_share": 0.0, "acceptance": 0.125}, [before]) == [
        "prompt tokens found in the cache 75% -> 0%",
        "drafted tokens accepted 60% -> 12%",
    ]


@pytest.mark.parametrize(("now", "accepted"), [(None, [QUIET]), ("much", [QUIET]), (QUIET, []), (QUIET, [{}])])
def test_without_both_sides_there_is_nothing_to_tell(now: object, accepted: list[dict[str, float]]) -> None:
    assert served_changes(now, accepted) == []
