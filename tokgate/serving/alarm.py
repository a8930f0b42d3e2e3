"""Waiting for a moment in an event loop, to a few microseconds."""

from __future__ import annotations

import asyncio
import time

from tokgate.serving.timerfd import TimerFile


class Alarm:
    """For one waiter at a time."""

    def __init__(self) -> None:
        self._timer = TimerFile()
        self._ringing: asyncio.Future[None] | None = None

    async def wait(self, due_s: float) -> None:
        """Until `due_s` of time.perf_counter, or until somebody calls `ring`."""
        if time.perf_counter() >= due_s:
            return
        loop = asyncio.get_running_loop()
        self._ringing = loop.create_future()
        self._timer.set(due_s)
        loop.add_reader(self._timer.fileno, self.ring)
        try:
            await self._ringing
        finally:
            loop.remove_reader(self._timer.fileno)
            self._ringing = None

    def ring(self) -> None:
        if self._ringing is not None and not self._ringing.done():
            self._ringing.set_result(None)

    def close(self) -> None:
        self._timer.close()
