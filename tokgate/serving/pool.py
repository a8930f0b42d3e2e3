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
        """For a request that is to be sent now. Raises RefusedError."""
        stale_s = time.perf_counter() - _MAX_IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since_s > stale_s:
                return connection
            connection.close()
        with self.rests.none():
            return await self._connect()

    def put_back(self, connection: Connection) -> None:
        if connection.usable:
            self._idle.append(connection)

    async def close(self) -> None:
        for connection in self._idle:
            connection.close()
        # Their sockets are closed in the loop's next turn.
        await asyncio.sleep(0)

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
