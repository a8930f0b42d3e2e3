"""The event loop that a share of a load is driven in: uvloop, its signals, its TLS."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvloop

from tokgate.serving.driver import Driver
from tokgate.serving.share import Counts, Measured, Share
from tokgate.serving.tls import tls_context


def drive(
    share: Share, start: Callable[[], Awaitable[float]], report: Callable[[Counts], None] | None, stopper: Stopper
) -> Measured:
    """One share, in this process and thread. `start` is asked for the moment to begin once all is prepared."""

    async def work() -> Measured:
        driver = Driver(share, tls_context(share.target.scheme))
        with stopper.stops(driver.stop):
            return await driver.run(start, report)

    with _new_loop() as loop:
        return loop.run_until_complete(work())


class Stopper:
    """Ends a share early: by Ctrl-C where signals are ours to take, or from another thread."""

    def __init__(self) -> None:
        # A signal may come while the same thread holds it.
        self._lock = threading.RLock()
        self._stop: Callable[[], object] | None = None
        self._stopped = False

    def stop(self) -> None:
        """From any thread, before or while the share is driven."""
        with self._lock:
            self._stopped = True
            if self._stop is not None:
                self._stop()

    @contextlib.contextmanager
    def stops(self, stop: Callable[[], None]) -> Iterator[None]:
        """In the running loop: calls `stop` there when asked to."""
        loop = asyncio.get_running_loop()
        with self._lock:
            self._stop = functools.partial(loop.call_soon_threadsafe, stop)
            if self._stopped:
                stop()
        try:
            with on_ctrl_c(self.stop):
                yield
        finally:
            with self._lock:
                self._stop = None


@contextlib.contextmanager
def on_ctrl_c(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` in place of raising KeyboardInterrupt anywhere; only the main thread may take signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _new_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop: Any = uvloop.new_event_loop()
    try:
        yield loop
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
