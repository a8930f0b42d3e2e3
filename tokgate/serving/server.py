"""A server's life: started on a free port of the loopback, waited for, watched, and always taken down whole."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from tokgate.besides import tell
from tokgate.errors import MeasurementError, TokgateError
from tokgate.killing import DEATH_S, kill_group, undying
from tokgate.machine.memory import descendants_peak_rss_bytes
from tokgate.serving.vllm_cli import GO_ON, HOLD, IMPORTED

HOST = "127.0.0.1"
_LOOK_S = 0.2
_ANSWER_S = 5.0
_TAIL_BYTES = 4000
# vLLM needs some seconds to end its engine's processes in order.
TERM_S = 20.0
# Above the keeper's own patience with processes that do not die.
_KEEPER_S = DEATH_S + 10.0


@dataclass(frozen=True)
class ServerCommand:
    """A server to start: what to run, with which variables beside this process's own, on which CPUs (None: all)."""

    argv: Sequence[str]
    port: int
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    cpus: frozenset[int] | None = None


class Server:
    """A running server, from `with` to its end. Its processes die with this process, however that dies.

    `term_s`: how long it is given to end in order. `hold`: a folder by which one that vllm_cli.py starts waits, its
    libraries imported, until it is told to go on and on which port: the one of its command it does not take.
    """

    def __init__(self, command: ServerCommand, term_s: float = TERM_S, hold: Path | None = None) -> None:
        self._command = command
        self._term_s = term_s
        self._hold = hold
        self._keeper: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self._command.port}"

    @property
    def log(self) -> Path:
        return self._command.log

    def __enter__(self) -> Server:
        command = self._command
        # Of a launch that is made again, as after a kill, the server before it has its words there: not this one's.
        command.log.write_bytes(b"")
        plan = {
            "command": list(command.argv),
            "environment": {**command.environment, **({HOLD: str(self._hold)} if self._hold else {})},
            "log": str(command.log),
            "cpus": None if command.cpus is None else sorted(command.cpus),
        }
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", "tokgate.serving.keeper", json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with told_after(error):
            self.stop()

    def wait_imported(self, timeout_s: float) -> None:
        """Of one that is held. Raises MeasurementError, with the log's end, where it has not by then."""
        assert self._hold is not None
        deadline_s = time.monotonic() + timeout_s
        while not (self._hold / IMPORTED).exists():
            self.check()
            if time.monotonic() > deadline_s:
                raise MeasurementError(
                    f"the server's libraries were not imported within {timeout_s:g} s; its log {self.log} ends:\n"
                    f"{self.tail()}"
                )
            time.sleep(_LOOK_S)

    def go_on(self) -> None:
        """Lets one that is held start, on a port that is free now."""
        assert self._hold is not None
        self._command = replace(self._command, port=free_port())
        told = self._hold / f"{GO_ON}.new"
        told.write_text(str(self._command.port), "ascii")
        told.replace(self._hold / GO_ON)

    def wait_ready(self, timeout_s: float) -> float:
        """Seconds until /health said so. Raises MeasurementError, with the log's end, where it never does."""
        started = time.monotonic()
        while not self._is_healthy():
            self.check()
            waited_s = time.monotonic() - started
            if waited_s > timeout_s:
                raise MeasurementError(
                    f"the server did not answer {self.base_url}/health within {timeout_s:g} s of its start; see why in "
                    f"{self.log}, which ends:\n{self.tail()}"
                )
            time.sleep(_LOOK_S)
        return time.monotonic() - started

    def check(self) -> None:
        """Raises MeasurementError, with the log's end, where the server has ended."""
        assert self._keeper is not None
        status = self._keeper.poll()
        if status is not None:
            raise MeasurementError(f"the server {_ending(status)}; its log {self.log} ends:\n{self.tail()}")

    def peak_rss_bytes(self) -> int:
        """Of its processes, see machine/memory.py; 0 where it has ended."""
        assert self._keeper is not None
        return descendants_peak_rss_bytes(self._keeper.pid)

    def tail(self) -> str:
        """The last words of its log."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL_BYTES))
                return file.read().decode("utf-8", "replace").strip()
        except OSError:
            return "(there is no log)"

    def stop(self) -> None:
        """Takes it down with all its processes, in order if it lets itself be told. May be called again.

        Raises MeasurementError where one of them does not die, which is then left as it is.
        """
        keeper = self._keeper
        if keeper is None:
            return
        assert keeper.stdin is not None
        if keeper.stdin.closed:
            return
        with contextlib.suppress(OSError):
            keeper.stdin.write(f"stop {self._term_s:g}\n".encode())
            keeper.stdin.flush()
        try:
            keeper.wait(self._term_s + _KEEPER_S)
        except subprocess.TimeoutExpired:
            kill_group(keeper)
        with contextlib.suppress(OSError):
            keeper.stdin.close()
        if left := _left_by(keeper):
            raise MeasurementError(f"the server {undying(*left)}")

    def _is_healthy(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self._command.port, timeout=_ANSWER_S)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def told_after(error: BaseException | None) -> Iterator[None]:
    """For what clears up while `error` is being raised, if any: a TokgateError then is printed and becomes a note of
    that one, and does not take the place of the reason for which all this ends."""
    try:
        yield
    except TokgateError as fault:
        if error is None:
            raise
        tell(str(fault), error)


def _left_by(keeper: subprocess.Popen[bytes]) -> list[int]:
    """What was killed and lives on, by the keeper's word, or the keeper itself."""
    assert keeper.stdout is not None
    with keeper.stdout as told:
        if keeper.returncode is None:
            return [keeper.pid]
        if keeper.returncode < 0:
            # It could not end what it kept, and that is of its process group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(keeper.pid, signal.SIGKILL)
        return [int(pid) for pid in told.read().split()]


def _ending(status: int) -> str:
    """Of the keeper, which ends as its server did."""
    number = status - 128 if status > 128 else -status
    if status < 0 or status > 128:
        with contextlib.suppress(ValueError):
            name = signal.Signals(number).name
            hint = ": often the kernel, out of memory" if number == signal.SIGKILL else ""
            return f"died of {name}{hint}"
    return f"ended with status {status}"
