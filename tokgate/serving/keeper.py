"""Keeps a server that is started from a process that may be killed: `python -m tokgate.serving.keeper PLAN`.

The keeper is the leader of a session of its own, runs the command, and holds a pipe to whoever asked for it. Told to
stop, it sends the server SIGTERM, and SIGKILL to what is left; when the pipe closes, since the other end died, SIGKILL
at once. Processes that the server leaves behind become the keeper's children (PR_SET_CHILD_SUBREAPER), so none is
missed, whatever session it is in: an engine that outlives its server holds the GPU's memory. Standard library alone.

PLAN is JSON: the `command`, its `environment`, its `log`, and the `cpus` it may run on (null: all). On the pipe "stop
SECONDS" says how long SIGTERM is given. The exit status is the server's, 128 and the signal where one ended it. On
standard output stand the pids of those that were killed and had not died a minute later.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

from tokgate.killing import DEATH_S
from tokgate.machine import processes
from tokgate.machine.files import REAL_ROOT

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_S = 0.1
_POLL_S = 0.02


def main(argv: list[str]) -> int:
    plan = json.loads(argv[0])
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _exit)
    if plan["cpus"] is not None:
        os.sched_setaffinity(0, plan["cpus"])
    with open(plan["log"], "ab") as log:
        server = subprocess.Popen(
            plan["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **plan["environment"]},
        )
    try:
        _keep(server)
    finally:
        left = _kill_family(server)
        with contextlib.suppress(OSError):
            os.write(1, " ".join(map(str, sorted(left))).encode())
    status = server.poll()
    return 1 if status is None else status if status >= 0 else 128 - status


def _keep(server: subprocess.Popen[bytes]) -> None:
    """Returns when the server ended, or has to."""
    orders = select.poll()
    orders.register(0, select.POLLIN | select.POLLHUP)
    while server.poll() is None:
        if not orders.poll(1e3 * _LOOK_S):
            continue
        words = os.read(0, 4096).decode("ascii", "replace").split()
        if words[:1] == ["stop"]:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(float(words[1]))
        return


def _kill_family(server: subprocess.Popen[bytes]) -> frozenset[int]:
    """Every process that descends from this one, until there is none, or a minute is over: what is left then.

    Zombies are reaped as they come.
    """
    deadline_s = time.monotonic() + DEATH_S
    while True:
        family = processes.descendants(processes.scan(REAL_ROOT), os.getpid())
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap(server)
        if not family or time.monotonic() > deadline_s:
            return family
        time.sleep(_POLL_S)


def _reap(server: subprocess.Popen[bytes]) -> None:
    """Others than the server, whose status would be lost: once that is reaped, there are only others."""
    if server.poll() is None:
        return
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _exit(number: int, frame: Any) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
