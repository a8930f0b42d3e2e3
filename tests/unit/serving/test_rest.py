from __future__ import annotations

import asyncio

import pytest

from tokgate.serving.rest import REST_S, Rests

pytestmark = pytest.mark.unit


class Clock:
    """Goes on when somebody sleeps or reads, and not by itself."""

    def __init__(self):
        self.now_s = 100.0
        self.slept_s = 0.0

    def perf_counter(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds
        self.slept_s += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("tokgate.serving.rest.time", clock)
    return clock


def turns(clock, waits_s, reading_s):
    """How long the loop rested after each turn, which it waited for and then read in."""

    async def play():
        rests, slept_s = Rests(), []
        for wait_s in waits_s:
            clock.now_s += wait_s
            before_s = clock.slept_s
            rests.begin(clock.now_s)
            assert rests.in_turn
            clock.now_s += reading_s
            await asyncio.sleep(0)
            assert not rests.in_turn
            slept_s.append(clock.slept_s - before_s)
        return slept_s

    return asyncio.run(play())


def test_messages_far_apart_are_read_without_rest(clock):
    assert turns(clock, [REST_S * 1.1] * 5, reading_s=1e-5) == [0.0] * 5


def test_a_busy_loop_rests_until_a_rest_after_its_turn_began(clock):
    slept_s = turns(clock, [1e-5] * 5, reading_s=1e-4)
    assert slept_s == pytest.approx([0.0, *[REST_S - 1e-4] * 4])


def test_a_loop_that_is_behind_does_not_rest(clock):
    assert turns(clock, [0.0] * 5, reading_s=REST_S) == [0.0] * 5
