"""What has arrived and is not yet read: its time is taken first, the work on it is done later.

A thousand requests that arrive at once take the server 0.1 s to read, and the last of them would seem to have arrived
so much later than it did.
"""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable

# So long it works on what has arrived before it looks at the sockets again.
_TURN_S = 0.002

Read = Callable[[bytes, float], None]


class Inbox:
    """One for all connections."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[Read, bytes, float]] = deque()

    def put(self, read: Read, data: bytes) -> None:
        """`read` will be called with `data` and the time of now, once all that is there to be stamped has been."""
        if not self._waiting:
            self._loop.call_soon(self._work)
        self._waiting.append((read, data, time.perf_counter()))

    def _work(self) -> None:
        until_s = time.perf_counter() + _TURN_S
        while self._waiting and time.perf_counter() < until_s:
            read, data, arrived_s = self._waiting.popleft()
            read(data, arrived_s)
        if self._waiting:
            self._loop.call_soon(self._work)
