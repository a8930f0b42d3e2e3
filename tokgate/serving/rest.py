"""Rests between the turns of a busy event loop: waking up costs more CPU time than reading what woke it.

CPU time that a client saves is there for a server on the same machine, and the client keeps up with more tokens. What
arrives may wait for the end of a rest; what is to be sent may not, since each step towards it takes another turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator

# Arrivals are stamped late by so much at most, and on average by half of it, where messages are closer than that.
REST_S = 0.0004
# A shorter sleep is not worth its own cost.
_SHORTEST_S = 0.00005


class Rests:
    """One for all connections of a loop. `in_turn` is whether something was read since the loop looked for arrivals.

    A loop that had to wait longer than a rest for what it reads, reads on at once: single messages are never late.
    It does not rest beyond `due_s`, when the next request is due, nor while there are `hurries`: so many requests are
    about to be sent, or answers about to be followed by one.
    """

    __slots__ = ("_began_s", "_ended_s", "_is_busy", "_loop", "due_s", "hurries", "in_turn")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began_s = self._ended_s = 0.0
        self._is_busy = False
        self.in_turn = False
        self.due_s = math.inf
        self.hurries = 0

    @contextlib.contextmanager
    def none(self) -> Iterator[None]:
        """No rest until what is done here is done."""
        self.hurries += 1
        try:
            yield
        finally:
            self.hurries -= 1

    def begin(self, now_s: float) -> None:
        """The turn's first bytes have arrived."""
        self.in_turn = True
        self._began_s = now_s
        self._is_busy = now_s - self._ended_s < REST_S
        self._loop.call_soon(self._end)

    def _end(self) -> None:
        """All that had come has been read."""
        now_s = time.perf_counter()
        left_s = min(self._began_s + REST_S, self.due_s) - now_s
        if self._is_busy and not self.hurries and left_s > _SHORTEST_S:
            time.sleep(left_s)
            now_s = time.perf_counter()
        self._ended_s = now_s
        self.in_turn = False
