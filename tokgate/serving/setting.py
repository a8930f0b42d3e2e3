"""What a run of `tokgate bench serve` was asked to do, as far as its reports repeat it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokgate.serving.arrivals import Ramp

METRICS = ("ttft", "tpot", "itl", "e2el", "client_queue_time", "e2el_including_client_queue")


@dataclass(frozen=True)
class Setting:
    """What was run: the flags that the file repeats. `request_rate` is infinite where requests had no schedule."""

    backend: str
    model: str
    tokenizer: str | None
    label: str | None = None
    request_rate: float = math.inf
    burstiness: float = 1.0
    max_concurrency: int | None = None
    ramp: Ramp | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[str, ...] = ("ttft", "tpot", "itl")
    percentiles: tuple[float, ...] = (99.0,)

    @property
    def scheduled(self) -> bool:
        return self.ramp is not None or not math.isinf(self.request_rate)
