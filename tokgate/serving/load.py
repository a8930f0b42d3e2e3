"""A load to drive, and what driving it gave. Standard library alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokgate.serving.record import RequestRecord
from tokgate.serving.request import Request, Target


@dataclass(frozen=True)
class Load:
    """Requests, in order, and when they are sent.

    Closed loop: `starts_s` is None, and as soon as one of `max_concurrency` slots is free the next request goes.
    Open loop: request i is due `starts_s[i]` seconds after the start, fixed in advance; with `max_concurrency` it may
    have to wait for a slot, and that wait counts (see RequestRecord.due_s). `max_concurrency` None: no cap.
    `warmups`: the first request is sent so many times before, as vllm bench serve does, and not recorded. A request
    that has not ended `timeout_s` after it was sent has failed. `processes`: over so many client processes the requests
    are dealt out in turn.
    """

    target: Target
    requests: Sequence[Request]
    max_concurrency: int | None = None
    starts_s: Sequence[float] | None = None
    warmups: int = 0
    timeout_s: float = 600.0
    processes: int = 1
    keep_text: bool = False


@dataclass(frozen=True)
class ClientHealth:
    """Whether the client kept up. Seconds; the worst over the client's processes.

    `cpu_share`: CPU seconds over wall seconds of the busiest process, of one core. `loop_lag_*`: how late timers of its
    event loop ran, which is how late arrivals may have been stamped. `schedule_lag_*`: how late requests of an open
    loop were sent that had a slot, 0 in a closed one.
    """

    processes: int
    cpu_s: float
    cpu_share: float
    loop_lag_p50_s: float
    loop_lag_p99_s: float
    loop_lag_max_s: float
    schedule_lag_p99_s: float
    schedule_lag_max_s: float


@dataclass(frozen=True)
class LoadResult:
    """`records` by number; `duration_s` from before the first request to after the last, warm-up excluded;
    `peak_concurrency`: the most requests that were open at once."""

    records: tuple[RequestRecord, ...]
    started_s: float
    duration_s: float
    peak_concurrency: int
    health: ClientHealth

    @property
    def successes(self) -> list[RequestRecord]:
        return [record for record in self.records if record.failure is None]
