"""Who waits, who is taken, and with whom."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from tokgate.generate.textmodel import Ask
from tokgate.generate.waiting import ClosedError, FullError, Job, Waiting

pytestmark = pytest.mark.unit

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 20))


def job(length: int, temperature: float = 0.0) -> Job:
    return Job(Ask((1,) * length, 5, temperature), asyncio.get_running_loop().create_future())


def test_the_first_is_always_taken_and_those_like_it_go_with_it() -> None:
    async def work() -> None:
        waiting = Waiting(10, most=3)
        jobs = [job(1), job(2), job(1), job(1, 0.5), job(1), job(1)]
        for each in jobs:
            waiting.put(each)
        assert await waiting.take(0) == [jobs[0], jobs[2], jobs[4]]
        assert await waiting.take(0) == [jobs[1]]
        assert await waiting.take(0) == [jobs[3]]
        assert await waiting.take(0) == [jobs[5]]
        assert len(waiting) == 0

    run(work())


def test_an_idle_engine_has_room_beside_the_queue() -> None:
    """Two come at the same moment to an idle service that lets one wait: neither is refused."""

    async def work() -> None:
        waiting = Waiting(1, most=1)
        waiting.put(job(1))
        waiting.put(job(1))
        with pytest.raises(FullError):
            waiting.put(job(1))
        await waiting.take(0)
        with pytest.raises(FullError):
            waiting.put(job(1))
        waiting.running = 0
        waiting.put(job(1))

    run(work())


def test_a_batch_waits_for_others_and_goes_at_once_when_it_is_full() -> None:
    async def work() -> None:
        waiting = Waiting(10, most=2)
        waiting.put(job(1))
        taken = asyncio.create_task(waiting.take(window_s=1000))
        await asyncio.sleep(0)
        waiting.put(job(2))
        await asyncio.sleep(0)
        assert not taken.done()
        waiting.put(job(1))
        assert len(await taken) == 2

    run(work())


def test_a_batch_that_nobody_joins_goes_when_its_window_closes() -> None:
    async def work() -> None:
        waiting = Waiting(10, most=2)
        waiting.put(job(1))
        assert len(await waiting.take(window_s=0.01)) == 1

    run(work())


def test_one_that_went_away_is_not_taken() -> None:
    async def work() -> None:
        waiting = Waiting(10, most=2)
        first, second = job(1), job(2)
        waiting.put(first)
        taken = asyncio.create_task(waiting.take(window_s=0.01))
        await asyncio.sleep(0)
        assert waiting.drop(first)
        waiting.put(second)
        assert await taken == [second]
        assert not waiting.drop(second)

    run(work())


def test_closed_it_gives_back_who_waits_and_takes_nobody() -> None:
    async def work() -> None:
        waiting = Waiting(10, most=1)
        left = job(1)
        waiting.put(left)
        assert waiting.close() == [left]
        with pytest.raises(ClosedError):
            waiting.put(job(1))
        assert await waiting.take(1000) == []

    run(work())


def test_closing_wakes_who_waits_for_work() -> None:
    async def work() -> None:
        waiting = Waiting(10, most=1)
        taken = asyncio.create_task(waiting.take(0))
        await asyncio.sleep(0)
        waiting.close()
        assert await taken == []

    run(work())
