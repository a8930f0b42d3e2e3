"""The connections of one client process, and whether the server is still there."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable

from tokgate.serving.connection import Connection, RefusedError, connect
from tokgate.serving.request import Target
from tokgate.serving.rest import Rests

# uvicorn, and so vLLM, closes a connection that was idle for 5 s.
_MAX_IDLE_S = 3.0
# Closing one takes some 10 us.
_CLOSED_AT_ONCE = 8
# So many refusals in a row, and the server is gone: what is left to send fails at once.
_GIVE_UP_AFTER = 20


class Pool:
    """Idle connections, the last used first. `on_gone` is called when the server has been given up."""

    def __init__(
        self, target: Target, timeout_s: float, tls: ssl.SSLContext | None, on_gone: Callable[[], None]
    ) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._tls = tls
        self._on_gone = on_gone
        self.rests = Rests()
        self._idle: list[Connection] = []
        self._stale: list[Connection] = []
        self._is_closing = False
        self._refusals = 0
        self._first_refusal = ""

    @property
    def is_gone(self) -> bool:
        """Whether it has refused so often in a row that nobody asks it again."""
        return self._refusals >= _GIVE_UP_AFTER

    @property
    def gone_because(self) -> str:
        return f"not sent: the last {self._refusals} connections were refused, the first of them: {self._first_refusal}"

    async def open(self, count: int) -> None:
        """Makes it `count` idle connections, or as many as can be had."""
        missing = count - len(self._idle)
        opened = await asyncio.gather(*(self._connect() for _ in range(missing)), return_exceptions=True)
        self._idle += [connection for connection in opened if isinstance(connection, Connection)]

    async def take(self) -> Connection:
        """For a request that is to be sent now, so the loop does not rest while it connects. Raises RefusedError."""
        stale_s = time.perf_counter() - _MAX_IDLE_S
        while self._idle and self._idle[-1].idle_since_s > stale_s:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        # Those below the first that was idle for too long were so for longer. They can wait, and the request cannot.
        self._stale += self._idle
        self._idle.clear()
        try:
            with self.rests.none():
                return await self._connect()
        finally:
            if self._stale and not self._is_closing:
                self._is_closing = True
                asyncio.get_running_loop().call_soon(self._close_some)

    def put_back(self, connection: Connection) -> None:
        if connection.usable:
            self._idle.append(connection)

    async def close(self) -> None:
        for connection in (*self._idle, *self._stale):
            connection.close()
        self._stale.clear()
        # Their sockets are closed in the loop's next turn.
        await asyncio.sleep(0)

    def _close_some(self) -> None:
        """Of those that are too old; all at once would hold up what arrives."""
        for connection in self._stale[-_CLOSED_AT_ONCE:]:
            connection.close()
        del self._stale[-_CLOSED_AT_ONCE:]
        self._is_closing = bool(self._stale)
        if self._is_closing:
            asyncio.get_running_loop().call_soon(self._close_some)

    async def _connect(self) -> Connection:
        if self.is_gone:
            raise RefusedError(self.gone_because)
        try:
            connection = await connect(self._target, self._timeout_s, self._tls, self.rests)
        except RefusedError as error:
            if not self._refusals:
                self._first_refusal = str(error)
            self._refusals += 1
            if self.is_gone:
                self._on_gone()
            raise
        self._refusals = 0
        return connection
