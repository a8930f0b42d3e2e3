"""How well the client itself keeps up while it measures."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tokgate.serving.load import ClientHealth
from tokgate.serving.timerfd import TimerFile

_INTERVAL_S = 0.005


class LoopLag:
    """Samples, every 5 ms, how late the running loop learns of something that was due: so late it learns of bytes.

    A loop that was busy for 50 ms has missed ten samples; each counts with its own lag, as bytes that arrived then.
    """

    def __init__(self) -> None:
        self.lag_s = array("d")
        self._timer = TimerFile()
        self._next_due_s = 0.0
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        self._next_due_s = time.perf_counter() + _INTERVAL_S
        self._timer.set(self._next_due_s, _INTERVAL_S)
        self._loop.add_reader(self._timer.fileno, self._sample)

    def stop(self) -> None:
        self._loop.remove_reader(self._timer.fileno)
        self._timer.close()

    def _sample(self) -> None:
        now_s = time.perf_counter()
        for _ in range(self._timer.ticks()):
            self.lag_s.append(now_s - self._next_due_s)
            self._next_due_s += _INTERVAL_S


class Watched(Protocol):
    """What a client process tells of itself."""

    @property
    def cpu_s(self) -> float: ...
    @property
    def wall_s(self) -> float: ...
    @property
    def loop_lag_s(self) -> array[float]: ...
    @property
    def schedule_lag_s(self) -> array[float]: ...


def health(processes: Sequence[Watched]) -> ClientHealth:
    """The worst over the processes."""

    def worst(series: Sequence[array[float]], percentile: float) -> float:
        return max((float(np.percentile(each, percentile)) for each in series if each), default=0.0)

    loop_lag_s = [process.loop_lag_s for process in processes]
    schedule_lag_s = [process.schedule_lag_s for process in processes]
    return ClientHealth(
        processes=len(processes),
        cpu_s=sum(process.cpu_s for process in processes),
        cpu_share=max(process.cpu_s / process.wall_s for process in processes),
        loop_lag_p50_s=worst(loop_lag_s, 50),
        loop_lag_p99_s=worst(loop_lag_s, 99),
        loop_lag_max_s=worst(loop_lag_s, 100),
        schedule_lag_p99_s=worst(schedule_lag_s, 99),
        schedule_lag_max_s=worst(schedule_lag_s, 100),
    )
