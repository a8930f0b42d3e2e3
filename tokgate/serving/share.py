"""What one client process is given to do, how far it is, and what it saw."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from tokgate.serving.load import Load
from tokgate.serving.record import RequestRecord
from tokgate.serving.request import Request, Target


@dataclass(frozen=True)
class Share:
    """What one process has to do; `numbers` are those of its requests in the whole load.

    `queue`: where it has all requests of the load together with other processes, the inherited file that tells which of
    them is its next (tokgate/serving/dealer.py).
    """

    target: Target
    numbers: Sequence[int]
    requests: Sequence[Request]
    starts_s: Sequence[float] | None
    max_concurrency: int | None
    warmups: int
    timeout_s: float
    keep_text: bool
    queue: int | None = None


@dataclass(frozen=True)
class Counts:
    """How far a share is. `output_tokens`: those told of answers that ended, and a token a message of the others."""

    done: int = 0
    failed: int = 0
    running: int = 0
    output_tokens: int = 0
    elapsed_s: float = 0.0


@dataclass(frozen=True)
class Measured:
    """What one process saw. `open_s`: from when to when each request that was sent was open; `ended_s`: when the last
    had ended, sent or not; `watched_s`: for how much of `wall_s` there are samples of `loop_lag_s`."""

    records: list[RequestRecord]
    open_s: list[tuple[float, float]]
    started_s: float
    ended_s: float
    cpu_s: float
    wall_s: float
    loop_lag_s: array[float]
    watched_s: float
    schedule_lag_s: array[float]


def slots_of(load: Load) -> int:
    """How many of its requests can be open at once."""
    return min(load.max_concurrency or len(load.requests), len(load.requests))


def shares_of(load: Load, queue: int | None) -> list[Share]:
    """Deals slots out in turn, and without a queue requests as many to each slot; no process without either."""
    slots = slots_of(load)
    processes = min(load.processes, slots)

    def share(first: int) -> Share:
        everything = range(len(load.requests))
        numbers = [number for number in everything if queue is not None or number % slots % processes == first]
        return Share(
            target=load.target,
            numbers=numbers,
            requests=[load.requests[number] for number in numbers],
            starts_s=None if load.starts_s is None else [load.starts_s[number] for number in numbers],
            max_concurrency=None if load.max_concurrency is None else len(range(first, slots, processes)),
            warmups=len(range(first, load.warmups, processes)),
            timeout_s=load.timeout_s,
            keep_text=load.keep_text,
            queue=queue,
        )

    return [share(first) for first in range(processes)]
