"""Which of an engine's own choices is told as changed, and which says nothing."""

from __future__ import annotations

import pytest

from gate.examples import make_row, make_session
from tokgate.gate.chosen import choice_changes, chosen

pytestmark = pytest.mark.unit

GRAPHS = {"cudagraph_mode": "FULL_AND_PIECEWISE", "kv_cache_tokens": "2096736"}


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (GRAPHS, []),
        (GRAPHS | {"cudagraph_mode": "NONE"}, ["the engine's cudagraph_mode FULL_AND_PIECEWISE -> NONE"]),
        (GRAPHS | {"kv_cache_tokens": "2094688"}, []),
        (GRAPHS | {"kv_cache_tokens": "1048368"}, ["the engine's kv_cache_tokens 2096736 -> 1048368"]),
        (GRAPHS | {"kv_cache_tokens": "unknown"}, ["the engine's kv_cache_tokens 2096736 -> unknown"]),
        (GRAPHS | {"spinning": "on"}, []),
        ({"cudagraph_mode": "FULL_AND_PIECEWISE"}, []),
        ({"cudagraph_mode": "NONE"}, ["the engine's cudagraph_mode FULL_AND_PIECEWISE -> NONE"]),
        ({}, []),
    ],
)
def test_a_choice_is_told_that_no_accepted_session_made(now: dict[str, str], told: list[str]) -> None:
    assert choice_changes(now, [GRAPHS, GRAPHS]) == told


def test_a_choice_that_was_made_before_says_nothing() -> None:
    eager = GRAPHS | {"cudagraph_mode": "NONE"}
    assert choice_changes(eager, [eager, GRAPHS]) == []
    assert choice_changes(eager, [GRAPHS, {}]) == ["the engine's cudagraph_mode FULL_AND_PIECEWISE -> NONE"]
    assert choice_changes(eager, [{}, {}]) == [], "accepted sessions that do not tell say nothing"
    assert choice_changes(eager, []) == []


def test_what_the_first_accepted_sessions_do_not_tell_is_held_against_those_that_do() -> None:
    """Accepted sessions from before a choice was recorded make no night "changed", and hide no change after it."""
    unset, exported = GRAPHS | {"environment": "none"}, GRAPHS | {"environment": "VLLM_USE_TRITON_AWQ=1"}
    assert choice_changes(exported, [GRAPHS, GRAPHS]) == []
    told = ["the engine's environment none -> VLLM_USE_TRITON_AWQ=1"]
    assert choice_changes(exported, [GRAPHS, unset]) == told
    assert choice_changes(exported, [GRAPHS, unset, GRAPHS]) == told
    assert choice_changes(unset, [GRAPHS, unset, exported]) == []
    assert choice_changes(unset, [GRAPHS, exported]) == ["the engine's environment VLLM_USE_TRITON_AWQ=1 -> none"]


def test_choices_are_of_the_group_that_measured_the_row_without_its_versions() -> None:
    groups = {
        "m.vllm.fp16": {"engine": {"vllm": "0.26.0", "graphs": "yes"}},
        "m.vllm.fp16.tp2": {"engine": {"vllm": "0.26.0", "graphs": "no"}},
    }
    session = make_session(0, [make_row([[1.0]])], telemetry={"groups": groups}, software={"vllm": "0.26.0"})
    assert chosen(session, "m.vllm.fp16.b1.p5.o50") == {"graphs": "yes"}
    assert chosen(session, "m.vllm.fp16.tp2.b1.p5.o50") == {"graphs": "no"}
    assert chosen(session, "m.onnx.fp32.b1.p5.o50") == {}


@pytest.mark.parametrize(
    "telemetry", [{}, {"groups": ["?"]}, {"groups": {"m": ["?"]}}, {"groups": {"m": {"engine": 1}}}]
)
def test_telemetry_of_another_tool_is_no_obstacle(telemetry: dict[str, object]) -> None:
    assert chosen(make_session(0, [make_row([[1.0]])], telemetry=telemetry), "m.b1") == {}
