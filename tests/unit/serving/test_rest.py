from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import socket

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


@pytest.fixture
def told(monkeypatch):
    """All that the rests of a load are told, in order."""
    told = []

    class Told(Rests):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if name in ("due_s", "hurries"):
                told.append((name, value))

    monkeypatch.setattr("tokgate.serving.pool.Rests", Told)
    return told


def dues(told):
    return [value for name, value in told if name == "due_s"]


def hurries(told):
    return [value for name, value in told if name == "hurries"]


def raises(told):
    """How often one more hurried."""
    return sum(after > before for before, after in itertools.pairwise(hurries(told)))


@pytest.mark.parametrize(
    ("settings", "times"),
    [
        # Each is due, then connects, then its answer ends.
        ({"starts_s": [0.0] * 4}, 12),
        # One connection is there, and is used again.
        ({"starts_s": [0.0] * 4, "max_concurrency": 1}, 8),
        ({"max_concurrency": 1}, 4),
    ],
)
def test_each_request_hurries_from_when_it_is_due_until_it_is_sent(told, settings, times):
    with running("--ttft-ms", "50", "--itl-ms", "1") as stub:
        run_load(load(stub.url, 4, **settings))
    assert raises(told) == times
    assert hurries(told)[-1] == 0


def test_the_next_request_that_is_due_is_told_in_time(told):
    starts_s = [0.02, 0.0, 0.01]
    with running("--ttft-ms", "2", "--itl-ms", "1") as stub:
        result = run_load(load(stub.url, 3, starts_s=starts_s))
    assert dues(told) == [math.inf, *sorted(record.due_s for record in result.records), math.inf]


@pytest.mark.parametrize(
    "settings",
    [{"max_concurrency": 2}, {"starts_s": [0.0, 0.01, 0.02, 0.03]}, {"starts_s": [0.0] * 4, "max_concurrency": 1}],
)
@pytest.mark.parametrize("fault", ["500", "reset", "reset-mid-stream", "cut", "error-object", "close", "stall"])
def test_a_request_that_fails_hurries_no_longer(told, settings, fault):
    with running("--ttft-ms", "2", "--itl-ms", "1", "--fault", f"every:2:{fault}") as stub:
        result = run_load(load(stub.url, 4, timeout_s=1.0, **settings))
    assert sum(record.failure is not None for record in result.records) == 2
    assert hurries(told)[-1] == 0


@pytest.mark.parametrize("settings", [{"max_concurrency": 2}, {"starts_s": [0.0] * 4}])
def test_a_server_that_is_not_there_leaves_nobody_in_a_hurry(told, settings):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = run_load(load(f"http://127.0.0.1:{port}", 4, **settings))
    assert all(record.failure is not None for record in result.records)
    assert hurries(told)[-1] == 0
