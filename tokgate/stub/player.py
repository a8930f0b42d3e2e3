"""Plays scripts: one heap and one timer for all answers, since a task for each would cost more than the writing."""

from __future__ import annotations

import heapq
import itertools
import time
from asyncio import AbstractEventLoop, Handle
from collections import deque
from collections.abc import Callable

from tokgate.stub.script import After, Script, Step
from tokgate.stub.truth import Record, Truth

# Timers of uvloop are whole milliseconds. The last of it is passed by polling: the sockets are read all the same.
_TIMER_S = 1e-3


class Answer:
    """A script on its way to one client. `send` returns whether the socket took all of it."""

    def __init__(
        self, script: Script, record: Record, truth: Truth, send: Callable[[bytes], bool], end: Callable[[After], None]
    ) -> None:
        self.script = script
        self.record = record
        self.truth = truth
        self.send = send
        self.end = end
        self.began_s = 0.0
        self.step: Step | None = None
        self.is_open = True


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
        answer.record.admitted_s = answer.began_s = now_s
        answer.step = step = next(answer.script.steps)
        due_s = now_s + step.offset_s
        heapq.heappush(self._heap, (due_s, next(self._order), answer))
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
        """Writes what is due by now, and no more: what arrives meanwhile must be read."""
        self._timer = None
        clock, heap = time.perf_counter, self._heap
        until_s = clock()
        while heap and heap[0][0] <= until_s:
            due_s, order, answer = heap[0]
            step = answer.step
            if not answer.is_open or step is None:
                heapq.heappop(heap)
                continue
            written_s = clock()
            took_all = answer.send(step.data) if step.data else True
            answer.truth.lateness_s.append(written_s - due_s)
            if not took_all:
                answer.record.buffered += 1
            if step.tokens:
                answer.record.written_s.append(written_s)
                answer.record.tokens += step.tokens
                self.tokens += step.tokens
            if step.after is After.GO_ON:
                answer.step = step = next(answer.script.steps)
                heapq.heapreplace(heap, (answer.began_s + step.offset_s, order, answer))
            else:
                heapq.heappop(heap)
                self._end(answer, step.after, written_s)
        self._arm()

    def _end(self, answer: Answer, after: After, now_s: float) -> None:
        if after is After.HANG:
            return
        answer.record.ended_s = now_s
        self.leave(answer)
        answer.end(after)
