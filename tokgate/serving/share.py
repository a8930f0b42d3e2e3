"""What one client process is given to do, how far it is, and what it saw."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from tokgate.serving.record import RequestRecord
from tokgate.serving.request import Request, Target


@dataclass(frozen=True)
class Share:
    """What one process has to do; `numbers` are those of its requests in the whole load."""

    target: Target
    numbers: Sequence[int]
    requests: Sequence[Request]
    starts_s: Sequence[float] | None
    max_concurrency: int | None
    warmups: int
    timeout_s: float
    keep_text: bool


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
    """What one process saw. `open_s`: from when to when each request that was sent was open."""

    records: list[RequestRecord]
    open_s: list[tuple[float, float]]
    started_s: float
    cpu_s: float
    wall_s: float
    loop_lag_s: array[float]
    schedule_lag_s: array[float]
