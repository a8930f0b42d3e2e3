"""The kernel's timer as a file: an event loop learns of it just as it learns of bytes that arrived. Linux.

libuv's timers count milliseconds, too coarse to send requests by or to tell how late a loop is. Python has this from
3.13 on (os.timerfd_create).
"""

from __future__ import annotations

import ctypes
import os

_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))

    @classmethod
    def of(cls, time_s: float) -> _Timespec:
        seconds = int(time_s)
        return cls(seconds, int((time_s - seconds) * 1e9))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("first", _Timespec))


class TimerFile:
    """A timer on the clock of time.perf_counter, which is CLOCK_MONOTONIC on Linux. `fileno` is readable when due."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        handle: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if handle < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed: more open files than `ulimit -n` allows?")
        self.fileno = handle

    def set(self, due_s: float, interval_s: float = 0.0) -> None:
        """Due at `due_s` of time.perf_counter, then every `interval_s` seconds; 0: once."""
        setting = _Setting(_Timespec.of(interval_s), _Timespec.of(max(due_s, 1e-9)))
        if self._libc.timerfd_settime(self.fileno, _TFD_TIMER_ABSTIME, ctypes.byref(setting), None) < 0:
            raise OSError(ctypes.get_errno(), f"timerfd_settime({due_s}, {interval_s}) failed")

    def ticks(self) -> int:
        """How many times it has been due since it was asked last."""
        try:
            return int.from_bytes(os.read(self.fileno, 8), "little")
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self.fileno)
