"""A load to drive, and what driving it gave. Standard library alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tokgate.serving.health import ClientHealth as ClientHealth
from tokgate.serving.record import RequestRecord
from tokgate.serving.request import Request, Target


@dataclass(frozen=True)
class Load:
    """Requests, in order, and when they are sent.

    Closed loop: `starts_s` is None, and as soon as one of `max_concurrency` slots is free the next request goes.
    Open loop: request i is due `starts_s[i]` seconds after the start, fixed in advance; with `max_concurrency` it may
    have to wait for a slot, and that wait counts (see RequestRecord.due_s). `max_concurrency` None: no cap.
    `warmups`: the first request is sent so many times before, as vllm bench serve does, and not recorded. A request
    that has not ended `timeout_s` after it was sent has failed. `processes`: so many client processes share
    the slots. In a closed loop each takes the next request as soon as one of its slots is free; of an open one it has a
    fixed share, as many requests to each of its slots.
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
class LoadResult:
    """`records` by number; `duration_s` from before the first request to after the last, sent or not, warm-up excluded;
    `peak_concurrency`: the most requests that were open at once."""

    records: tuple[RequestRecord, ...]
    started_s: float
    duration_s: float
    peak_concurrency: int
    health: ClientHealth

    @property
    def successes(self) -> list[RequestRecord]:
        return [record for record in self.records if record.failure is None]

    def client_fault(self) -> str | None:
        """Why the client, and not the server, may be what was measured, and what to do; None where all is well."""
        # A single token has no TPOT, though its message may be followed by one that ends the answer.
        decode_s = [record.e2el_s - record.ttft_s for record in self.successes if record.tpot_s is not None]
        ttft_s = [record.ttft_s for record in self.successes]
        if not ttft_s:
            return None
        return self.health.fault(statistics.fmean(ttft_s), statistics.fmean(decode_s) if decode_s else None)
