"""Plays scripts: one heap and one timer for all answers, since a task for each would cost more than the writing."""

from __future__ import annotations

import heapq
import itertools
import time
from asyncio import AbstractEventLoop, Handle
from collections import deque
from collections.abc import Callable

from tokgate.stub.script import After, Script
from tokgate.stub.truth import Record, Truth

# Timers of uvloop are whole milliseconds. The last of it is passed by polling: the sockets are read all the same.
_TIMER_S = 1e-3
# Reads and new connections wait for no longer than this.
_TURN_S = 5e-3
# As much of one answer goes out as one write where the server is behind: a system call costs more than all the rest.
_MAX_JOINED = 8
# Not joined with what is due before: a reset would take it away unread.
_ALONE = (After.RESET,)


class Answer:
    """A script on its way to one client. `send` returns whether the socket took all of it."""

    __slots__ = ("_began_s", "_stretch", "end", "is_open", "record", "script", "send", "truth")

    def __init__(
        self, script: Script, record: Record, truth: Truth, send: Callable[[bytes], bool], end: Callable[[After], None]
    ) -> None:
        self.script = script
        self.record = record
        self.truth = truth
        self.send = send
        self.end = end
        self.is_open = True

    def begin(self, now_s: float) -> float:
        """The schedule begins; returns when the first write is due."""
        self.record.admitted_s = self._began_s = now_s
        self._stretch = next(self.script.stretches)
        return now_s + next(self._stretch.offsets_s)

    def due(self, until_s: float) -> tuple[bytes, int, After, float]:
        """What is due by then as one write, its tokens, what follows it, and when the next is due."""
        stretch = self._stretch
        data, tokens = stretch.data, stretch.tokens
        for joined in range(1, _MAX_JOINED + 1):
            offset_s = next(stretch.offsets_s, None)
            if offset_s is None:
                if stretch.after is not After.GO_ON:
                    return data, tokens, stretch.after, 0.0
                self._stretch = stretch = next(self.script.stretches)
                offset_s = next(stretch.offsets_s)
            next_s = self._began_s + offset_s
            if next_s > until_s or joined == _MAX_JOINED or stretch.after in _ALONE:
                break
            data += stretch.data
            tokens += stretch.tokens
        return data, tokens, After.GO_ON, next_s


class Player:
    """Gives arriving answers their place (at most `max_running` at once; 0: no limit), and writes when it is due."""

    def __init__(self, loop: AbstractEventLoop, max_running: int = 0) -> None:
        self._loop = loop
        self._max_running = max_running
        self._heap: list[tuple[float, int, Answer]] = []
        self._order = itertools.count()
        self._timer: Handle | None = None
        self._waiting: deque[Answer] = deque()
        self.running = 0
        self.tokens = 0

    @property
    def waiting(self) -> int:
        return sum(answer.is_open for answer in self._waiting)

    def begin(self, answer: Answer) -> None:
        if answer.script.head:
            answer.send(answer.script.head)
        if answer.script.waits and self._max_running and self.running >= self._max_running:
            self._waiting.append(answer)
        else:
            self._admit(answer, answer.record.arrival_s)

    def leave(self, answer: Answer) -> None:
        """The client is gone, or the answer is at its end: its place is free."""
        if not answer.is_open:
            return
        answer.is_open = False
        answer.truth.leave()
        if answer.record.admitted_s is None:
            return
        self.running -= answer.script.waits
        while self._waiting and self.running < self._max_running:
            waiting = self._waiting.popleft()
            if waiting.is_open:
                self._admit(waiting, time.perf_counter())

    def _admit(self, answer: Answer, now_s: float) -> None:
        self.running += answer.script.waits
        heapq.heappush(self._heap, (answer.begin(now_s), next(self._order), answer))
        if self._timer is None or self._heap[0][2] is answer:
            self._arm()

    def _arm(self) -> None:
        """Waits for the first write due: asleep as long as a timer may, then polling."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._heap:
            return
        wait_s = self._heap[0][0] - time.perf_counter()
        if wait_s < 2 * _TIMER_S:
            self._timer = self._loop.call_soon(self._write_due)
        else:
            self._timer = self._loop.call_later(wait_s - _TIMER_S, self._write_due)

    def _write_due(self) -> None:
        """Writes what is due by now, as far as it gets in one turn: what arrives meanwhile must be read."""
        self._timer = None
        clock, heap = time.perf_counter, self._heap
        until_s = clock()
        while heap and heap[0][0] <= until_s:
            due_s, order, answer = heap[0]
            if not answer.is_open:
                heapq.heappop(heap)
                continue
            data, tokens, after, next_s = answer.due(until_s)
            written_s = clock()
            if data and not answer.send(data):
                answer.record.buffered += 1
            answer.truth.lateness_s.append(written_s - due_s)
            if tokens:
                answer.record.written_s.append(written_s)
                answer.record.tokens += tokens
                self.tokens += tokens
            if after is After.GO_ON:
                heapq.heapreplace(heap, (next_s, order, answer))
            else:
                heapq.heappop(heap)
                self._end(answer, after, written_s)
            if written_s > until_s + _TURN_S:
                break
        self._arm()

    def _end(self, answer: Answer, after: After, now_s: float) -> None:
        if after is After.HANG:
            return
        answer.record.ended_s = now_s
        self.leave(answer)
        answer.end(after)
