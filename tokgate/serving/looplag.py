"""How late the client's event loop is."""

from __future__ import annotations

import asyncio
import time
from array import array

from tokgate.serving.timerfd import TimerFile

_INTERVAL_S = 0.01


class LoopLag:
    """Samples, every 10 ms, how late the running loop learns of something that was due: so late it learns of bytes.

    A loop that was busy for 50 ms has missed five samples; each counts with its own lag, as bytes that arrived then.
    """

    def __init__(self) -> None:
        self.lag_s = array("d")
        self._timer = TimerFile()
        self._next_due_s = 0.0
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        self._next_due_s = time.perf_counter() + _INTERVAL_S
        self._timer.set(self._next_due_s, _INTERVAL_S)
        self._loop.add_reader(self._timer.fileno, self._sample)

    @property
    def watched_s(self) -> float:
        """For how long it has looked."""
        return len(self.lag_s) * _INTERVAL_S

    def stop(self) -> None:
        """Not before `start`."""
        # What the loop has not yet heard of, it would hear of now.
        self._sample()
        self._loop.remove_reader(self._timer.fileno)
        self._timer.close()

    def _sample(self) -> None:
        now_s = time.perf_counter()
        for _ in range(self._timer.ticks()):
            self.lag_s.append(now_s - self._next_due_s)
            self._next_due_s += _INTERVAL_S
