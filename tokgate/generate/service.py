"""The service behind the HTTP: loads the model, and hands it the waiting requests, a batch after another."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tokgate.generate.meters import Meters
from tokgate.generate.settings import ServiceSettings
from tokgate.generate.textmodel import Answer, Ask, TextModel
from tokgate.generate.waiting import Job, Waiting

# How much a batch's time counts in the mean that Retry-After goes by.
_NEWEST = 0.3


class State(str, Enum):
    LOADING = "loading"
    READY = "ready"
    ENDING = "ending"
    FAILED = "failed"


class EndingError(Exception):
    """The service ended before it came to a request."""


@dataclass(frozen=True)
class Loaded:
    """A model, and what is to be told of it at /info."""

    model: TextModel
    info: dict[str, Any] = field(default_factory=dict)


class Service:
    """One engine, which one thread calls: engines are not made for two. `load` makes it, in that thread."""

    def __init__(
        self,
        settings: ServiceSettings,
        load: Callable[[], Loaded],
        on_failed: Callable[[BaseException], None],
        on_ready: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.meters = Meters()
        self.state = State.LOADING
        self.info: dict[str, Any] = {}
        self._load = load
        self._on_failed = on_failed
        self._on_ready = on_ready
        self._thread = ThreadPoolExecutor(1, "engine")
        self._mean_s = 0.0
        self._model: TextModel | None = None
        self._waiting = Waiting(settings.queue, settings.batch)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> None:
        """Loads, then answers until `close`."""
        self._loop = loop = asyncio.get_running_loop()
        self.meters.queue.set_function(lambda: len(self._waiting))
        self.meters.in_flight.set_function(lambda: self._waiting.running)
        try:
            loaded = await loop.run_in_executor(self._thread, self._load)
        except Exception as error:  # whatever an engine raises: the process ends, and says it
            self.state = State.FAILED
            self._on_failed(error)
            return
        self._model, self.info = loaded.model, loaded.info
        if self.state is State.LOADING:
            self.state = State.READY
            self._on_ready()
        window_s = self.settings.window_s if self.settings.batch > 1 else 0.0
        while jobs := await self._waiting.take(window_s):
            await self._answer(jobs, loaded.model)

    def encode(self, text: str) -> list[int]:
        """The text's token ids; of a service that is ready."""
        assert self._model is not None, "asked before it was ready"
        return self._model.codec.encode(text)

    @property
    def busy(self) -> bool:
        """Whether the engine is at work, and cannot be told to stop."""
        return self._waiting.running > 0

    def submit(self, ask: Ask) -> Job:
        """Raises FullError or ClosedError."""
        job = Job(ask, asyncio.get_running_loop().create_future())
        self._waiting.put(job)
        return job

    def drop(self, job: Job) -> None:
        """Of a client that went away: what waits is forgotten; what the engine works at, it finishes for nobody."""
        self._waiting.drop(job)
        job.answered.cancel()
        self.meters.gone.inc()

    def close(self) -> None:
        """Takes no more. What is being generated is answered; what waits gets EndingError."""
        if self.state is not State.FAILED:
            self.state = State.ENDING
        for job in self._waiting.close():
            if not job.answered.done():
                job.answered.set_exception(EndingError())

    def close_soon(self) -> None:
        """The same from a signal's handler, or another thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.close)

    @property
    def retry_after_s(self) -> int:
        """When there should be room again: the time that a batch takes, or a second."""
        return max(1, math.ceil(self._mean_s))

    async def _answer(self, jobs: Sequence[Job], model: TextModel) -> None:
        asks = [job.ask for job in jobs]
        started = time.perf_counter()
        try:
            answers: list[Answer] = await asyncio.get_running_loop().run_in_executor(self._thread, model.answer, asks)
        except Exception as error:  # an engine's fault is one batch's: the next may be well
            for job in jobs:
                if not job.answered.done():
                    job.answered.set_exception(error)
        else:
            took_s = time.perf_counter() - started
            self._mean_s = took_s if not self._mean_s else _NEWEST * took_s + (1 - _NEWEST) * self._mean_s
            for job, answer in zip(jobs, answers, strict=True):
                if not job.answered.done():
                    job.answered.set_result(answer)
        finally:
            self._waiting.running = 0
