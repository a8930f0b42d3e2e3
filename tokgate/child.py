"""A child process that reports events: how models are built and launches measured.

The child writes one JSON object a line; the parent hears each as it comes. The child dies when the parent
does (its standard input closes), and takes its process group with it when the parent stops it. One that reports
nothing for too long is stopped. Standard library alone: a worker runs in whatever environment holds the engine.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from tokgate.rootcause import with_cause

Event = dict[str, Any]
Emit = Callable[[Event], None]

_TAIL_BYTES = 4000
# vLLM's processes write some 20 KB of tracebacks one after another.
_SEARCHED_BYTES = 1 << 20
_POLL_S = 0.02
_LOOK_S = 0.2


class ChildError(Exception):
    """A child ended without doing its work. `tail` is the end of what it printed."""

    def __init__(self, message: str, returncode: int, tail: str = "") -> None:
        super().__init__(message)
        self.returncode = returncode
        self.tail = tail


class _SilentError(Exception):
    """No event came in time."""


def run_child(
    argv: Sequence[str],
    on_event: Callable[[Event], None],
    env: dict[str, str] | None = None,
    silence_s: float | None = None,
    log: Path | None = None,
) -> None:
    """Runs `argv` until it ends, handing each event over. Raises ChildError if it fails.

    What the child prints goes to the file `log`, which stays, or else to one that is thrown away.

    The child's last event must be {"event": "done"}; {"event": "error", "message": ...} is its own word on why it
    failed, to which the first error of its log is added. On KeyboardInterrupt, when `on_event` raises, or when
    `silence_s` seconds pass without an event (None: it may take what it takes), the child's process group is killed.
    """
    with _open_log(log) as printed:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=printed,
            env={**(env if env is not None else os.environ), "PYTHONPATH": python_path()},
            start_new_session=True,
        )
        last: Event = {}
        try:
            assert child.stdout is not None
            for event in _events(child.pid, child.stdout.fileno(), silence_s):
                last = event
                on_event(event)
            _await_end(child.pid, silence_s)
        except _SilentError:
            _stop(child)
            after = f"after its event {last['event']!r}" if last else "from its start on"
            tail = _tail(printed)
            raise ChildError(
                f"it reported nothing for {silence_s:g} s {after}: it hangs, or is far too slow, and was stopped; "
                f"its last words:\n{tail}",
                child.returncode,
                tail,
            ) from None
        finally:
            _stop(child)
        if child.returncode == 0 and last.get("event") == "done":
            return
        tail = _tail(printed)
        if last.get("event") == "error":
            raise ChildError(with_cause(str(last["message"]), _tail(printed, _SEARCHED_BYTES)), child.returncode, tail)
        raise ChildError(f"{_ending(child.returncode)}; its last words:\n{tail}", child.returncode, tail)


def _events(pid: int, pipe: int, silence_s: float | None) -> Iterator[Event]:
    """The events as they come; other lines are passed over. Raises _SilentError when none comes for `silence_s`.

    Ends with the child: what it forked may hold the pipe open for longer. Asked for now and then, since kernels
    before 5.3 (RHEL 8) have no handle of a process to wait on beside the pipe.
    """
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    begun = b""
    heard_s = time.monotonic()
    while True:
        if silence_s is not None and time.monotonic() > heard_s + silence_s:
            raise _SilentError
        had_ended = _has_ended(pid)  # before the pipe is looked at: then nothing more can come
        if not waiting.poll(1e3 * _LOOK_S):
            if had_ended:
                return
            continue
        read = os.read(pipe, 1 << 16)
        *lines, begun = (begun + read).split(b"\n") if read else (begun, b"")
        for event in map(_decode, lines):
            if event is not None:
                yield event
                heard_s = time.monotonic()
        if not read:
            return


def _has_ended(pid: int) -> bool:
    """Leaves it unreaped."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def child_events() -> Emit:
    """In the child: returns `emit`, after which prints of libraries go to stderr and a lost parent ends us."""
    sys.stdout.flush()
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_exit_when_parent_is_gone, daemon=True).start()

    def emit(event: Event) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    return emit


def _exit_when_parent_is_gone() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    if os.getpgrp() == os.getpid():
        # The processes of an engine would live on, and hold the GPU's memory.
        os.killpg(0, signal.SIGKILL)
    os._exit(70)


def python_path() -> str:
    """tokgate itself reaches any interpreter through PYTHONPATH, the same for all."""
    own = str(Path(__file__).resolve().parents[1])
    inherited = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join([own, *([inherited] if inherited else [])])


def _decode(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _await_end(pid: int, timeout_s: float | None) -> None:
    """Leaves the ended child unreaped, so that its group cannot become another's before _stop has ended the rest.

    A worker that crashed leaves processes of its engine behind, which hold the GPU's memory. Raises _SilentError.
    """
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    while not _has_ended(pid):
        if deadline_s is not None and time.monotonic() > deadline_s:
            raise _SilentError
        time.sleep(_POLL_S)


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _open_log(path: Path | None) -> IO[bytes]:
    if path is None:
        return tempfile.TemporaryFile()
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w+b")


def _tail(printed: IO[bytes], most_bytes: int = _TAIL_BYTES) -> str:
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - most_bytes))
    return printed.read().decode("utf-8", "replace").strip()


def _ending(returncode: int) -> str:
    if returncode == 0:
        return "the child ended before it was done"
    if returncode == -signal.SIGKILL:
        return "the child was killed (SIGKILL: often the kernel, out of memory)"
    if returncode < 0:
        return f"the child died of {signal.Signals(-returncode).name}"
    return f"the child ended with status {returncode}"
