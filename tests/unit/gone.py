"""Whether a process has ended."""

from __future__ import annotations

import psutil

_TIMEOUT_S = 20.0


def is_gone(pid: int) -> bool:
    """Now, or within some seconds; one that nobody has reaped yet has ended."""
    try:
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            process.wait(timeout=_TIMEOUT_S)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True
