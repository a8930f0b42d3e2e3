"""Kills processes that may not die: the kernel ends nothing that waits inside a driver. Standard library alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

# A killed process of a GPU takes some seconds to give its memory back. One that is stuck in the driver never dies.
DEATH_S = 60.0


def kill_group(process: subprocess.Popen[bytes], patience_s: float | None = None) -> bool:
    """Kills the leader of a process group with its group, and reaps it.

    False where it is still there `patience_s` seconds later (None: a minute): who asked leaves it, and says so.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(DEATH_S if patience_s is None else patience_s)
    return process.returncode is not None


def undying(*pids: int) -> str:
    """What is said of such processes, behind a subject: "was killed, but does not die (...), ..."."""
    named = f"process {pids[0]} is" if len(pids) == 1 else f"processes {', '.join(map(str, pids))} are"
    seen = f"was killed, but does not die ({named} still there {DEATH_S:g} s later, as if inside a driver)"
    return f"{seen}; look at dmesg (Xid errors, a GPU that fell off the bus), and restart the host"
