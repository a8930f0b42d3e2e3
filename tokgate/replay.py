"""A clock that replays recorded durations, so that pytest-benchmark shows what a worker measured."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class ReplayClock:
    """Given to pytest-benchmark as `timer`, its `tick` as the function under measurement.

    Each `tick` takes the next recorded duration, in seconds, exactly: reading the clock sets it back to 0.

    >>> clock = ReplayClock()
    >>> clock.load([0.25])
    >>> start = clock(); clock.tick(); clock() - start
    0.25
    """

    def __init__(self) -> None:
        self._durations: deque[float] = deque()
        self._elapsed = 0.0

    def load(self, durations: Iterable[float]) -> None:
        self._durations.extend(durations)

    def tick(self) -> None:
        """Lets the next duration pass. Raises IndexError if none is left: nothing is ever made up."""
        self._elapsed = self._durations.popleft()

    def __call__(self) -> float:
        elapsed, self._elapsed = self._elapsed, 0.0
        return elapsed
