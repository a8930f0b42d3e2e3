"""A child process that reports events: how models are built and launches measured.

The child writes one JSON object a line; the parent hears each as it comes. One that waits goes on when the parent
says so: a byte on its standard input for each wait. The child dies when the parent does (its standard input closes),
and takes its process group with it when the parent stops it. One that reports nothing for too long is stopped.
Standard library alone: a worker runs in whatever environment holds the engine.
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

from tokgate.besides import tell, with_notes
from tokgate.killing import kill_group, undying
from tokgate.rootcause import with_cause

Event = dict[str, Any]
Emit = Callable[[Event], None]

_TAIL_BYTES = 4000
# vLLM's processes write some 20 KB of tracebacks one after another.
_SEARCHED_BYTES = 1 << 20
_POLL_S = 0.02
_LOOK_S = 0.2


class ChildError(Exception):
    """A child did not do its work. `tail`: the end of what it printed; `returncode`: None of one that does not die."""

    def __init__(self, message: str, returncode: int | None, tail: str = "") -> None:
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
    failed, to which the first error of its log is added, and its "notes". On KeyboardInterrupt, when `on_event` raises,
    or when `silence_s` seconds pass without an event (None: any time), the child's process group is killed.
    """
    with Child(argv, env, log) as child:
        child.hear(on_event, silence_s)


class Child:
    """A process that was started; what it reports is kept until somebody hears it. Ended with its group on leaving."""

    def __init__(self, argv: Sequence[str], env: dict[str, str] | None = None, log: Path | None = None) -> None:
        self._printed = _open_log(log)
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            env={**(env if env is not None else os.environ), "PYTHONPATH": python_path()},
            start_new_session=True,
        )
        self._last: Event = {}
        self._begun = b""
        self._patience_s: float | None = None
        self._is_told = False  # that it does not die

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends it with its process group, if it has not ended. What is left of its words is lost, but for its log.
        One that does not die is left as it is after a minute, and told of."""
        if not self._kill():
            self._tell_undying(sys.exc_info()[1])
        self._printed.close()

    def go_on(self) -> None:
        """Ends one wait of the child's, this one or the next. Of one that has ended, hearing it tells."""
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):
            if not stdin.closed:
                os.write(stdin.fileno(), b"\n")

    def pause(self) -> None:
        """Stops it with its process group until `resume`: not even a thread that spins takes a core from others.

        A stopped child does not see that its parent is gone: who pauses one closes it, also when terminated.
        """
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """To the whole group; of one that has ended, hearing it tells."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, number)

    def hear_until(self, kind: str, silence_s: float | None = None) -> Event | None:
        """Passes over the events up to the first of this kind, which it returns; None at the child's end, on which
        hear then has the word. Raises ChildError as hear does, of a child that is silent for too long."""
        with self._silence_told(silence_s):
            for event in self._events(silence_s):
                if event["event"] == kind:
                    return event
        return None

    def hear(self, on_event: Callable[[Event], None], silence_s: float | None = None) -> None:
        """Until the child ends, which it has to with "done". As run_child, which says what is raised."""
        with self._silence_told(silence_s):
            for event in self._events(silence_s):
                on_event(event)
            _await_end(self._process.pid, silence_s)
        self._kill()
        returncode, last = self._process.returncode, self._last
        if returncode == 0 and last.get("event") == "done":
            return
        tail = _tail(self._printed)
        if last.get("event") == "error":
            cause = with_cause(str(last["message"]), _tail(self._printed, _SEARCHED_BYTES))
            raise ChildError(with_notes(cause, last.get("notes", ())), returncode, tail)
        raise ChildError(f"{_ending(returncode)}; its last words:\n{tail}", returncode, tail)

    @contextlib.contextmanager
    def _silence_told(self, silence_s: float | None) -> Iterator[None]:
        try:
            yield
        except _SilentError:
            ended = "was stopped" if self._kill() else undying(self._process.pid)
            after = f"after its event {self._last['event']!r}" if self._last else "from its start on"
            tail = _tail(self._printed)
            raise ChildError(
                f"it reported nothing for {silence_s:g} s {after}: it hangs, or is far too slow, and {ended}; "
                f"its last words:\n{tail}",
                self._process.returncode,
                tail,
            ) from None

    def _kill(self) -> bool:
        """Ends it with its process group. False where it does not die, for which it is waited once."""
        child = self._process
        if child.returncode is None:
            kill_group(child, self._patience_s)
            self._patience_s = 0.0
        for pipe in filter(None, (child.stdin, child.stdout)):
            with contextlib.suppress(OSError):
                pipe.close()
        return child.returncode is not None

    def _tell_undying(self, error: BaseException | None) -> None:
        """Once, and not where `error`, which is being raised, says so."""
        if not self._is_told and (said := undying(self._process.pid)) not in str(error):
            tell(f"a child process {said}", error)
            self._is_told = True

    def _events(self, silence_s: float | None) -> Iterator[Event]:
        """The events as they come; other lines are passed over. Raises _SilentError when none comes for `silence_s`.

        Ends with the child: what it forked may hold the pipe open for longer. Asked for now and then, since kernels
        before 5.3 (RHEL 8) have no handle of a process to wait on beside the pipe.
        """
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        waiting = select.poll()
        waiting.register(pipe, select.POLLIN)
        heard_s = time.monotonic()
        while True:
            while b"\n" in self._begun:
                line, _, self._begun = self._begun.partition(b"\n")
                event = _decode(line)
                if event is not None:
                    self._last = event
                    yield event
                    heard_s = time.monotonic()
            if silence_s is not None and time.monotonic() > heard_s + silence_s:
                raise _SilentError
            had_ended = _has_ended(self._process.pid)  # before the pipe is looked at: then nothing more can come
            if not waiting.poll(1e3 * _LOOK_S):
                if had_ended:
                    return
                continue
            read = os.read(pipe, 1 << 16)
            if not read and not self._begun:
                return
            self._begun += read or b"\n"


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


def await_parent() -> None:
    """In the child: waits for the parent's Child.go_on."""
    os.read(0, 1)


def _exit_when_parent_is_gone() -> None:
    """Reads nothing: what is written is for those who wait."""
    gone = select.poll()
    gone.register(0, 0)
    gone.poll()
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
    """Leaves the ended child unreaped, so that its group cannot become another's before the rest of it is killed.

    A worker that crashed leaves processes of its engine behind, which hold the GPU's memory. Raises _SilentError.
    """
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    while not _has_ended(pid):
        if deadline_s is not None and time.monotonic() > deadline_s:
            raise _SilentError
        time.sleep(_POLL_S)


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
