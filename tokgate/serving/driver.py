"""Drives one process's share of a load, in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import ssl
import time
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from tokgate.serving.alarm import Alarm
from tokgate.serving.answer import Answer, Fault
from tokgate.serving.connection import Connection, RefusedError
from tokgate.serving.dealer import dealt
from tokgate.serving.garbage import no_collection
from tokgate.serving.looplag import LoopLag
from tokgate.serving.pool import Pool
from tokgate.serving.record import Failure, RequestRecord
from tokgate.serving.share import Counts, Measured, Share
from tokgate.serving.tasks import all_of, end
from tokgate.serving.wire import request_bytes, request_head

_PROGRESS_S = 0.25


@dataclass
class _Exchange:
    """One request and what became of it."""

    number: int
    due_s: float
    sent_s: float
    ended_s: float
    answer: Answer
    fault: Fault | None
    was_sent: bool = True

    def record(self) -> RequestRecord:
        answer, fault = self.answer, self.fault
        return RequestRecord(
            number=self.number,
            due_s=self.due_s,
            sent_s=self.sent_s,
            message_s=tuple(answer.message_s),
            prompt_tokens=answer.prompt_tokens,
            output_tokens=answer.output_tokens,
            failure=fault.failure if fault is not None else None,
            detail=fault.detail if fault is not None else "",
            text=answer.text,
        )


class Driver:
    """`run` sends the share's requests once `start` has told the moment; `stop` ends it early."""

    def __init__(self, share: Share, tls: ssl.SSLContext | None) -> None:
        self._share = share
        self._wires = _wires(share)
        self._running: dict[int, Answer] = {}
        self._ended: list[_Exchange] = []
        self._output_tokens = self._failed = 0
        self._schedule_lag_s: array[float] = array("d")
        self._started_s = math.inf
        self._alarm = Alarm()
        self._pool = Pool(share.target, share.timeout_s, tls, on_gone=self._alarm.ring)
        self._work: asyncio.Task[None] | None = None
        self._stopping = False

    def counts(self) -> Counts:
        arriving = sum(len(answer.message_s) for answer in self._running.values())
        tokens = self._output_tokens + arriving
        elapsed_s = max(0.0, time.perf_counter() - self._started_s)
        return Counts(len(self._ended), self._failed, len(self._running), tokens, elapsed_s)

    def stop(self) -> None:
        """What is open and what was never sent counts as cancelled."""
        self._stopping = True
        if self._work is not None:
            self._work.cancel()

    async def run(self, start: Callable[[], Awaitable[float]], report: Callable[[Counts], None] | None) -> Measured:
        """`start` gives the moment to begin, of time.perf_counter; it is asked once all is prepared."""
        try:
            await self._until_stopped(self._prepare())
            return await self._measure(start, report)
        finally:
            self._alarm.close()
            await self._pool.close()

    async def _measure(
        self, start: Callable[[], Awaitable[float]], report: Callable[[Counts], None] | None
    ) -> Measured:
        lag = LoopLag()
        with no_collection(), _reports(self.counts, report):
            self._started_s = started_s = await start()
            # Not before: a process that waits for the others is never late.
            lag.start()
            begun_s, cpu_s = time.perf_counter(), time.process_time()
            closed = self._share.starts_s is None
            await self._until_stopped(self._closed_loop(started_s) if closed else self._open_loop(started_s))
            wall_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
            lag.stop()
        self._give_up_rest(started_s)
        return Measured(
            records=[exchange.record() for exchange in self._ended],
            open_s=[(each.sent_s, each.ended_s) for each in self._ended if each.was_sent],
            started_s=started_s,
            ended_s=max((each.ended_s for each in self._ended), default=started_s),
            cpu_s=cpu_s,
            wall_s=wall_s,
            loop_lag_s=lag.lag_s,
            watched_s=lag.watched_s,
            schedule_lag_s=self._schedule_lag_s,
        )

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        if self._stopping:
            work.close()
            return
        self._work = asyncio.ensure_future(work)
        try:
            await self._work
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._work = None

    async def _prepare(self) -> None:
        """Warms the server up, and opens the connections of a closed loop: neither is part of the measurement."""
        share = self._share
        cap = min(share.max_concurrency or len(share.requests), len(share.requests))
        if share.warmups and share.requests:
            left = iter(range(share.warmups))
            await all_of(self._warm_up(left) for _ in range(min(cap, share.warmups)))
        if share.starts_s is None or share.max_concurrency is not None:
            await self._pool.open(cap)

    async def _warm_up(self, left: Iterator[int]) -> None:
        for _ in left:
            with contextlib.suppress(RefusedError):
                connection = await self._pool.take()
                answer = Answer(self._share.requests[0], keep_text=False)
                await connection.exchange(self._wires[0], answer, self._share.timeout_s)
                self._pool.put_back(connection)

    async def _closed_loop(self, started_s: float) -> None:
        async def slot() -> None:
            for index in left:
                await self._one(index, started_s)

        share = self._share
        left = iter(range(len(share.requests))) if share.queue is None else dealt(share.queue)
        cap = min(share.max_concurrency or len(share.requests), len(share.requests))
        await self._alarm.wait(started_s)
        await all_of(slot() for _ in range(cap))

    async def _open_loop(self, started_s: float) -> None:
        async def one(index: int, due_s: float) -> None:
            rests.hurries -= 1
            if slots is None:
                self._schedule_lag_s.append(time.perf_counter() - due_s)
                await self._one(index, due_s)
                return
            if not slots.locked():
                self._schedule_lag_s.append(time.perf_counter() - due_s)
            async with slots:
                await self._one(index, due_s)

        share = self._share
        assert share.starts_s is not None
        due = deque(sorted((started_s + after_s, index) for index, after_s in enumerate(share.starts_s)))
        slots = asyncio.Semaphore(share.max_concurrency) if share.max_concurrency is not None else None
        rests, tasks = self._pool.rests, set[asyncio.Task[None]]()
        try:
            while due:
                due_s, index = due.popleft()
                rests.due_s = due_s
                await self._alarm.wait(due_s)
                if self._pool.is_gone:
                    break
                rests.hurries += 1
                task = asyncio.ensure_future(one(index, due_s))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            rests.due_s = math.inf
            await asyncio.gather(*tasks)
        finally:
            await end(tasks)

    async def _one(self, index: int, due_s: float) -> None:
        share = self._share
        answer = Answer(share.requests[index], share.keep_text)
        # Until it is known to have gone well, it has not.
        unknown = Fault(Failure.CANCELLED, "by an error in the client")
        exchange = _Exchange(share.numbers[index], due_s, 0.0, 0.0, answer, unknown, was_sent=False)
        connection = None
        try:
            connection = await self._pool.take()
            self._running[index] = answer
            exchange.was_sent = True
            exchange.fault = await connection.exchange(self._wires[index], answer, share.timeout_s)
        except RefusedError as error:
            exchange.fault = Fault(Failure.REFUSED, str(error))
        except asyncio.CancelledError:
            exchange.fault = Fault(Failure.CANCELLED, f"after {len(answer.message_s)} messages")
            raise
        finally:
            self._running.pop(index, None)
            self._end(exchange, connection)

    def _end(self, exchange: _Exchange, connection: Connection | None) -> None:
        exchange.ended_s = time.perf_counter()
        exchange.sent_s = connection.sent_s if connection is not None else exchange.ended_s
        self._ended.append(exchange)
        self._failed += exchange.fault is not None
        self._output_tokens += exchange.answer.output_tokens or 0
        if connection is not None:
            self._pool.put_back(connection)

    def _give_up_rest(self, started_s: float) -> None:
        """What was never tried: the run was stopped, or the server is gone."""
        now_s = time.perf_counter()
        share = self._share
        gone = Fault(Failure.REFUSED, self._pool.gone_because)
        fault = Fault(Failure.CANCELLED, "not sent") if self._stopping else gone
        for index in list(self._untried()):
            number, starts_s = share.numbers[index], share.starts_s
            due_s = started_s + (starts_s[index] if starts_s is not None else 0.0)
            answer = Answer(share.requests[index], keep_text=False)
            self._ended.append(_Exchange(number, due_s, max(due_s, now_s), now_s, answer, fault, was_sent=False))

    def _untried(self) -> Iterator[int]:
        if self._share.queue is not None:
            return dealt(self._share.queue)
        seen = {exchange.number for exchange in self._ended}
        return (index for index, number in enumerate(self._share.numbers) if number not in seen)


def _wires(share: Share) -> list[bytes]:
    heads = {stream: request_head(share.target, stream) for stream in (False, True)}
    return [request_bytes(heads[request.stream], request) for request in share.requests]


@contextlib.contextmanager
def _reports(counts: Callable[[], Counts], report: Callable[[Counts], None] | None) -> Iterator[None]:
    """Calls `report` a few times a second."""
    if report is None:
        yield
        return

    async def tell() -> None:
        while True:
            await asyncio.sleep(_PROGRESS_S)
            report(counts())

    telling = asyncio.ensure_future(tell())
    try:
        yield
    finally:
        telling.cancel()
        report(counts())
