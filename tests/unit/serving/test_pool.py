"""Which connection a request gets, and when those that are too old are closed."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest

from tokgate.serving.connection import RefusedError
from tokgate.serving.pool import Pool
from tokgate.serving.request import Target
from tokgate.serving.rest import Rests

pytestmark = pytest.mark.unit

TARGET = Target("http", "127.0.0.1", 1, "/v1/completions")


class Server:
    """Connections that are none, in the order in which they were made and closed."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.made: list[Held] = []
        self.refuses = False

    async def connect(self, target: Target, timeout_s: float, tls: ssl.SSLContext | None, rests: Rests) -> Any:
        self.seen.append("connected")
        if self.refuses:
            raise RefusedError("refused")
        self.made.append(Held(self.seen))
        return self.made[-1]


class Held:
    def __init__(self, seen: list[str]) -> None:
        self._seen = seen
        self.usable = True
        self.idle_since_s = time.perf_counter()

    def close(self) -> None:
        self._seen.append("closed")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr("tokgate.serving.pool.connect", server.connect)
    return server


def play(work: Callable[[Pool], Any]) -> None:
    async def played() -> None:
        pool = Pool(TARGET, 1.0, None, lambda: None)
        await work(pool)
        await pool.close()

    asyncio.run(played())


async def use(pool: Pool, count: int) -> None:
    """So many at once, and then none."""
    for each in [await pool.take() for _ in range(count)]:
        pool.put_back(each)


def test_the_last_used_connection_is_used_again_and_a_lost_one_is_not(server: Server) -> None:
    async def work(pool: Pool) -> None:
        first, second, lost = [await pool.take() for _ in range(3)]
        for each in (first, second, lost):
            pool.put_back(each)
        server.made[2].usable = False
        assert await pool.take() is second
        assert await pool.take() is first
        assert server.seen == ["connected"] * 3 + ["closed"]

    play(work)


@pytest.mark.parametrize("refuses", [False, True])
def test_a_request_does_not_wait_for_connections_that_are_too_old(
    server: Server, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    """They are closed once it has its own, a few in a turn of the loop."""
    monkeypatch.setattr("tokgate.serving.pool._MAX_IDLE_S", 0.0)

    async def work(pool: Pool) -> None:
        await use(pool, 20)
        server.seen.clear()
        server.refuses = refuses
        if refuses:
            with pytest.raises(RefusedError):
                await pool.take()
        else:
            await pool.take()
        assert server.seen == ["connected"]
        closed = []
        for _ in range(4):
            await asyncio.sleep(0)
            closed.append(server.seen.count("closed"))
        assert closed == [8, 16, 20, 20]

    play(work)


def test_what_is_left_is_closed_with_the_pool(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokgate.serving.pool._MAX_IDLE_S", 0.0)

    async def work(pool: Pool) -> None:
        await use(pool, 20)
        await use(pool, 1)

    play(work)
    assert (server.seen.count("connected"), server.seen.count("closed")) == (21, 21)
