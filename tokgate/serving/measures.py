"""What was sent and what came back -> measures. Pure; definitions and names are those of `vllm bench serve`.

Only successes are measured. Times are seconds; statistics are milliseconds, as that command gives them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tokgate.serving.load import LoadResult
from tokgate.serving.record import Failure, RequestRecord
from tokgate.serving.request import Request

GOODPUT_METRICS = ("ttft", "tpot", "e2el")
_MEDIAN = 50.0


@dataclass(frozen=True)
class Statistics:
    """Of a metric over requests (over gaps for ITL), in milliseconds. `std` divides by n; `percentiles` are linear.

    Of an ITL whose spread is in doubt, `std` and all percentiles but the 50th are nan: withheld.
    """

    mean: float
    median: float
    std: float
    percentiles: Mapping[float, float]


@dataclass(frozen=True)
class FailureKind:
    """Failures of one kind: how many, and what the first of them said."""

    kind: Failure
    count: int
    first: str


@dataclass(frozen=True)
class Measures:
    """Of one run. Token totals, throughputs and `times_s` are over its successes.

    `request_goodput` is None where no bound was given; `goodput_from_due` is the same, counted from when a request was
    due. `max_output_tokens_per_s`: the best whole second since the first was sent. `times_s`: metric -> seconds of
    ttft, tpot, itl, e2el, client_queue_time and, counted from when a request was due, ttft_from_due and e2el_from_due.
    `itl_doubt`: why the spread of the ITL is the client's own, None if not.
    """

    requests: int
    completed: int
    duration_s: float
    total_input_tokens: int
    total_output_tokens: int
    request_goodput: float | None
    goodput_from_due: float | None
    max_output_tokens_per_s: float
    max_concurrent_requests: int
    times_s: Mapping[str, Sequence[float]]
    failures: tuple[FailureKind, ...]
    itl_doubt: str | None

    @property
    def failed(self) -> int:
        return self.requests - self.completed

    @property
    def success_pct(self) -> float:
        return 100 * self.completed / self.requests

    @property
    def request_throughput(self) -> float:
        return _rate(self.completed, self.duration_s)

    @property
    def output_throughput(self) -> float:
        return _rate(self.total_output_tokens, self.duration_s)

    @property
    def total_token_throughput(self) -> float:
        return _rate(self.total_input_tokens + self.total_output_tokens, self.duration_s)

    def statistics(self, metric: str, percentiles: Sequence[float]) -> Statistics | None:
        """None where nothing was measured: no success, or no second token of any for tpot and itl."""
        values = np.asarray(self.times_s[metric]) * 1000
        if not len(values):
            return None
        doubted = metric == "itl" and self.itl_doubt is not None
        return Statistics(
            mean=float(np.mean(values)),
            median=float(np.median(values)),
            std=math.nan if doubted else float(np.std(values)),
            percentiles={
                percentile: math.nan if doubted and percentile != _MEDIAN else float(np.percentile(values, percentile))
                for percentile in percentiles
            },
        )


def measure(result: LoadResult, requests: Sequence[Request], goodput_ms: Mapping[str, float] | None = None) -> Measures:
    """`goodput_ms`: bounds by metric; a request is good that keeps all of them, bound included."""
    successes = result.successes
    times_s = _times(successes)
    itl_s = times_s["itl"]

    def goodput(from_due: bool) -> float | None:
        return _rate(_good(successes, goodput_ms, from_due), result.duration_s) if goodput_ms else None

    return Measures(
        requests=len(result.records),
        completed=len(successes),
        duration_s=result.duration_s,
        total_input_tokens=sum(prompt_len(record, requests) for record in successes),
        total_output_tokens=sum(record.output_tokens or 0 for record in successes),
        request_goodput=goodput(from_due=False),
        goodput_from_due=goodput(from_due=True),
        max_output_tokens_per_s=_busiest_second(successes),
        max_concurrent_requests=result.peak_concurrency,
        times_s=times_s,
        failures=tuple(_failures(result.records)),
        itl_doubt=result.health.itl_doubt(float(np.median(itl_s))) if itl_s else None,
    )


def prompt_len(record: RequestRecord, requests: Sequence[Request]) -> int:
    """Tokens of the prompt: as the server counted them, else as planned."""
    return requests[record.number].prompt_len if record.prompt_tokens is None else record.prompt_tokens


def _rate(count: int, duration_s: float) -> float:
    """A second; 0 in a run that was stopped before it began."""
    return count / duration_s if duration_s > 0 else 0.0


def _times(successes: Sequence[RequestRecord]) -> dict[str, list[float]]:
    return {
        "ttft": [record.ttft_s for record in successes],
        "tpot": [record.tpot_s for record in successes if record.tpot_s is not None],
        "itl": [gap_s for record in successes for gap_s in record.itl_s],
        "e2el": [record.e2el_s for record in successes],
        "client_queue_time": [record.queue_s for record in successes],
        "ttft_from_due": [record.queue_s + record.ttft_s for record in successes],
        "e2el_from_due": [record.queue_s + record.e2el_s for record in successes],
    }


def _good(successes: Sequence[RequestRecord], bounds_ms: Mapping[str, float], from_due: bool) -> int:
    """A single token has no TPOT, and keeps any bound on it."""

    def of(record: RequestRecord, metric: str) -> float:
        queue_s = record.queue_s if from_due else 0.0
        return {"ttft": queue_s + record.ttft_s, "tpot": record.tpot_s or 0.0, "e2el": queue_s + record.e2el_s}[metric]

    return sum(all(1000 * of(record, metric) <= bound for metric, bound in bounds_ms.items()) for record in successes)


def _busiest_second(successes: Sequence[RequestRecord]) -> float:
    """The most output tokens that came within one whole second, counted from when the first request was sent.

    vLLM counts messages; the tokens of a request that came several to a message are spread over its messages evenly.
    """
    if not successes:
        return 0.0
    first_s = min(record.sent_s for record in successes)
    last_s = max(record.message_s[-1] for record in successes)
    tokens = np.zeros(math.floor(last_s - first_s) + 1)
    for record in successes:
        seconds = np.floor(np.asarray(record.message_s) - first_s).astype(int)
        np.add.at(tokens, seconds, (record.output_tokens or 0) / len(record.message_s))
    return float(tokens.max())


def _failures(records: Sequence[RequestRecord]) -> Iterator[FailureKind]:
    """The most frequent kind first."""
    by_kind: dict[Failure, list[str]] = {}
    for record in records:
        if record.failure is not None:
            by_kind.setdefault(record.failure, []).append(record.detail)
    for kind, details in sorted(by_kind.items(), key=lambda item: -len(item[1])):
        yield FailureKind(kind, len(details), next(filter(None, details), ""))
