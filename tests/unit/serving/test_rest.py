from __future__ import annotations

import asyncio
import contextlib
import math
from typing import ClassVar

import pytest

from serving.loads import load
from tokgate.serving.client import run_load
from tokgate.serving.rest import REST_S, Rests
from tokgate.stub.process import running

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


def rests_after_busy_turns(clock, of):
    """How long a busy loop rests once `of` was told of what is to be sent."""

    async def play():
        rests = Rests()
        for _ in range(2):
            rests.begin(clock.now_s)
            await asyncio.sleep(0)
        of(rests)
        before_s = clock.slept_s
        rests.begin(clock.now_s)
        await asyncio.sleep(0)
        return clock.slept_s - before_s

    return asyncio.run(play())


def test_no_rest_goes_beyond_the_moment_when_a_request_is_due(clock):
    def due(after_s):
        def tell(rests):
            rests.due_s = clock.now_s + after_s

        return rests_after_busy_turns(clock, tell)

    assert due(REST_S / 2) == pytest.approx(REST_S / 2)
    assert due(REST_S * 2) == pytest.approx(REST_S)
    assert due(0.0) == due(-1.0) == 0.0


def test_nothing_rests_while_a_request_is_about_to_be_sent(clock):
    def about_to_be_sent(rests):
        held.enter_context(rests.none())

    with contextlib.ExitStack() as held:
        assert rests_after_busy_turns(clock, about_to_be_sent) == 0.0

    def sent(rests):
        with rests.none():
            pass

    assert rests_after_busy_turns(clock, sent) == pytest.approx(REST_S)


class Told(Rests):
    """Remembers what it was told."""

    made: ClassVar[list[Told]] = []

    def __init__(self):
        self.dues_s = []
        self.most_hurries = 0
        super().__init__()
        Told.made.append(self)

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "due_s":
            self.dues_s.append(value)
        if name == "hurries":
            self.most_hurries = max(self.most_hurries, value)


@pytest.mark.parametrize(
    "settings",
    [{"max_concurrency": 2}, {"starts_s": [0.0, 0.01, 0.02, 0.03]}, {"starts_s": [0.0] * 4, "max_concurrency": 1}],
)
@pytest.mark.parametrize("fault", [None, "500", "reset", "reset-mid-stream", "cut", "error-object", "close"])
def test_a_load_hurries_for_each_request_and_then_no_longer(monkeypatch, settings, fault):
    monkeypatch.setattr("tokgate.serving.pool.Rests", Told)
    Told.made.clear()
    with running("--ttft-ms", "2", "--itl-ms", "1", *(["--fault", f"every:2:{fault}"] if fault else [])) as stub:
        result = run_load(load(stub.url, 4, **settings))
    assert sum(record.failure is not None for record in result.records) == (2 if fault else 0)
    (told,) = Told.made
    assert told.most_hurries >= 1
    assert told.hurries == 0
    due_s = [record.due_s for record in result.records] if "starts_s" in settings else []
    assert told.dues_s == [math.inf, *sorted(due_s), *([math.inf] if due_s else [])]
