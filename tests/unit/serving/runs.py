"""Runs of a load client, made by hand: when each message of each request came."""

from __future__ import annotations

from typing import Any

from tokgate.serving.load import ClientHealth, LoadResult
from tokgate.serving.record import Failure, RequestRecord
from tokgate.serving.request import Request

HEALTH = ClientHealth(
    processes=1, cpu_s=0.5, cpu_share=0.1, loop_lag_p50_s=0.0001, loop_lag_p99_s=0.001, loop_lag_max_s=0.002,
    schedule_lag_p99_s=0.0, schedule_lag_max_s=0.0, loop_lag_mean_s=0.0003,
)  # fmt: skip


def success(number: int, sent_s: float, *message_s: float, **changes: Any) -> RequestRecord:
    """A token a message, 5 tokens of prompt; times count from the run's start, which is at 100 s."""
    told = {"due_s": 100 + sent_s, "prompt_tokens": 5, "output_tokens": len(message_s), "text": f"text {number}"}
    arrived_s = tuple(100 + when_s for when_s in message_s)
    return RequestRecord(number=number, sent_s=100 + sent_s, message_s=arrived_s, **{**told, **changes})


def failure(number: int, kind: Failure, detail: str = "", *message_s: float) -> RequestRecord:
    arrived_s = tuple(100 + when_s for when_s in message_s)
    return RequestRecord(number, 100.0, 100.0, arrived_s, failure=kind, detail=detail)


def run(*records: RequestRecord, duration_s: float = 10.0, peak: int = 2) -> LoadResult:
    return LoadResult(records, 100.0, duration_s, peak, HEALTH)


def requests_of(result: LoadResult) -> list[Request]:
    return [Request(b"{}", prompt_len=4, output_len=4) for _ in result.records]
