"""Several client processes for one load: each drives a share, and all begin at one moment.

`python -m tokgate.serving.clientprocess` is one of them. Pickles go both ways, since both ends are ours: a share in;
out "ready", then in the moment to begin (time.perf_counter, which processes of a host share), then out counts and
what was measured. When its standard input closes, a process stops its share: its parent is gone, or wants it to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from tokgate.errors import MeasurementError
from tokgate.serving.loop import Stopper, drive, on_ctrl_c
from tokgate.serving.share import Counts, Measured, Share

# Long enough for every process to hear of the moment before it comes.
_NOTICE_S = 0.2
_MOMENT = struct.Struct("d")
_TAIL_BYTES = 2000
# A client that was told to stop has to say what it saw within this time.
_STOPPING_S = 30.0
_STOP = "stop"


def measure_in_processes(
    shares: Sequence[Share], report: Callable[[Sequence[Counts]], None] | None, on_begin: Callable[[], None]
) -> list[Measured]:
    """`on_begin` is called when all are ready to begin, and before they do.

    Raises MeasurementError when a process ends without a result. Ctrl-C stops all of them in order.
    """
    with contextlib.ExitStack() as stack:
        heard: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        clients = [stack.enter_context(_client(number, share, heard)) for number, share in enumerate(shares)]
        for client, share in zip(clients, shares, strict=True):
            client.tell(pickle.dumps(share))
        with on_ctrl_c(lambda: heard.put((0, _STOP))):
            return _Conversation(clients, heard, report, on_begin).measured()


class _Conversation:
    """What the processes say, until each has said what it measured."""

    def __init__(
        self,
        clients: Sequence[_Client],
        heard: queue.SimpleQueue[tuple[int, Any]],
        report: Callable[[Sequence[Counts]], None] | None,
        on_begin: Callable[[], None],
    ) -> None:
        self._clients = clients
        self._heard = heard
        self._report = report
        self._on_begin = on_begin
        self._ready: set[int] = set()
        self._counts = [Counts() for _ in clients]
        self._measured: dict[int, Measured] = {}
        self._deadline_s: float | None = None

    def measured(self) -> list[Measured]:
        while len(self._measured) < len(self._clients):
            self._hear()
        return [self._measured[number] for number in range(len(self._clients))]

    def _hear(self) -> None:
        left_s = None if self._deadline_s is None else self._deadline_s - time.monotonic()
        try:
            number, said = self._heard.get(timeout=left_s if left_s is None else max(0.0, left_s))
        except queue.Empty:
            raise MeasurementError(f"a client process did not stop within {_STOPPING_S:g} s") from None
        if said == _STOP:
            self._deadline_s = time.monotonic() + _STOPPING_S
            for client in self._clients:
                client.stop()
        elif said is None and number not in self._measured:
            raise MeasurementError(self._clients[number].epitaph())
        elif said == "ready":
            self._ready.add(number)
            if len(self._ready) == len(self._clients):
                self._on_begin()
                begin_s = time.perf_counter() + _NOTICE_S
                for client in self._clients:
                    client.tell(_MOMENT.pack(begin_s))
        elif isinstance(said, Counts):
            self._counts[number] = said
            if self._report is not None:
                self._report(self._counts)
        elif isinstance(said, Measured):
            self._measured[number] = said


class _Client:
    """One process, seen from its parent."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self._process = process
        self._log = log

    def tell(self, what: bytes) -> None:
        assert self._process.stdin is not None
        if self._process.stdin.closed:
            # It was stopped before it was ready.
            return
        # One that has ended is heard of by its closed output.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(what)
            self._process.stdin.flush()

    def stop(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def epitaph(self) -> str:
        status = self._process.wait()
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _TAIL_BYTES))
        last = self._log.read().decode("utf-8", "replace").strip() or "nothing"
        return f"a client process ended early with status {status}; its last words: {last}"


@contextlib.contextmanager
def _client(number: int, share: Share, heard: queue.SimpleQueue[tuple[int, Any]]) -> Any:
    """Its messages go to `heard`, with None as the last."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tokgate.serving.clientprocess"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": _python_path()},
            pass_fds=() if share.queue is None else (share.queue,),
            # Ctrl-C is for the parent alone.
            start_new_session=True,
        )

        def listen() -> None:
            assert process.stdout is not None
            with contextlib.suppress(EOFError, pickle.UnpicklingError, OSError):
                while True:
                    heard.put((number, pickle.load(process.stdout)))
            heard.put((number, None))

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        client = _Client(process, log)
        try:
            yield client
        finally:
            process.kill()
            process.wait()
            listener.join()
            client.stop()
            assert process.stdout is not None
            process.stdout.close()


def _python_path() -> str:
    own = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join([own, *([inherited] if inherited else [])])


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    said = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def say(what: Any) -> None:
        # Nobody listens any more: stopping is under way.
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(what, said)
            said.flush()

    stopper = Stopper()
    share: Share = pickle.load(sys.stdin.buffer)

    async def start() -> float:
        loop = asyncio.get_running_loop()
        moment: asyncio.Future[float] = loop.create_future()

        def listen() -> None:
            # Not through sys.stdin, whose lock a thread that waits would hold when Python ends.
            told = os.read(0, _MOMENT.size)
            begin_s = _MOMENT.unpack(told)[0] if told else time.perf_counter()
            loop.call_soon_threadsafe(moment.set_result, begin_s)
            while told:
                told = os.read(0, 1)
            stopper.stop()

        say("ready")
        threading.Thread(target=listen, daemon=True).start()
        return await moment

    say(drive(share, start, say, stopper))


if __name__ == "__main__":
    main()
