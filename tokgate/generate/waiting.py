"""Requests that wait for the engine: bounded, in order, and gone when their client is."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from tokgate.generate.textmodel import Answer, Ask


class FullError(Exception):
    """As many wait as may."""


class ClosedError(Exception):
    """The service ends, and takes no more."""


@dataclass(eq=False)
class Job:
    """A request on its way; `answered` gets its answer, or why there is none."""

    ask: Ask
    answered: asyncio.Future[Answer]
    came_s: float = field(default_factory=time.perf_counter)
    queue_s: float = 0.0


class Waiting:
    """At most `capacity` jobs wait, beside up to `most` that are being answered. Of one event loop."""

    def __init__(self, capacity: int, most: int) -> None:
        self._capacity = capacity
        self._most = most
        self._jobs: deque[Job] = deque()
        self._changed = asyncio.Event()
        self._closed = False
        self.running = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: Job) -> None:
        """Raises FullError or ClosedError. An idle engine takes what it can hold, whoever comes at the same moment."""
        if self._closed:
            raise ClosedError
        if len(self._jobs) + self.running >= self._capacity + self._most:
            raise FullError
        self._jobs.append(job)
        self._changed.set()

    def drop(self, job: Job) -> bool:
        """Takes back a job that nobody waits for any more; False where it is being answered already."""
        try:
            self._jobs.remove(job)
        except ValueError:
            return False
        return True

    async def take(self, window_s: float) -> list[Job]:
        """The first job and those of its shape, up to `most`, in their order; none once it is closed.

        The first one waits `window_s` for others, unless there are enough.
        """
        while not self._jobs and not self._closed:
            await self._change(None)
        closes_s = time.monotonic() + window_s
        while self._jobs and len(self._alike()) < self._most and (left_s := closes_s - time.monotonic()) > 0:
            await self._change(left_s)
        batch = self._alike()
        for job in batch:
            self._jobs.remove(job)
            job.queue_s = time.perf_counter() - job.came_s
        self.running = len(batch)
        if not batch and not self._closed:
            # All that waited went away meanwhile.
            return await self.take(window_s)
        return batch

    def close(self) -> list[Job]:
        """Takes no more; returns those that wait, which nobody will answer."""
        self._closed = True
        left = list(self._jobs)
        self._jobs.clear()
        self._changed.set()
        return left

    @property
    def closed(self) -> bool:
        return self._closed

    def _alike(self) -> list[Job]:
        shape = self._jobs[0].ask.shape if self._jobs else None
        return [job for job in self._jobs if job.ask.shape == shape][: self._most]

    async def _change(self, timeout_s: float | None) -> None:
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except asyncio.TimeoutError:
            return
