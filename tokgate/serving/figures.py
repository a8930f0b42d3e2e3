"""From one load to the values of a row's metrics, and to why it cannot be believed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from tokgate.plan import PlanRow
from tokgate.serving.advice import advice
from tokgate.serving.load import LoadResult
from tokgate.serving.measures import Measures, measure
from tokgate.serving.request import Request
from tokgate.serving.server_metrics import ServerUse

# What a user notices: the first word within 2 s, then 20 words a second (the guide's goodput).
GOODPUT_MS = {"ttft": 2000.0, "tpot": 50.0}
_MOST_NAMED = 3
# A request that is taken at once waits for some 20 us; how that varies explains nothing.
_LEAST_QUEUE_S = 1e-3


def figures_of(row: PlanRow, requests: Sequence[Request], result: LoadResult) -> dict[str, float]:
    """Metric -> value, in seconds, of the metrics that the load has: what is 0 or was not measured is left out."""
    found = measure(result, requests, GOODPUT_MS)
    values: dict[str, float | None] = {
        "output_throughput": found.output_throughput,
        "request_throughput": found.request_throughput,
        "goodput": found.request_goodput,
        "success_rate": found.success_pct,
        **_latencies(found, "ttft", "tpot", "itl", "e2el"),
        "client_queue_time": _median_s(found.times_s["client_queue_time"]),
        "short_ttft": _short_ttft_s(row, requests, result),
    }
    if row.traffic is not None and row.traffic.open_share is not None:
        due = _latencies(found, "ttft_from_due")
        values |= {"due_ttft": due.get("ttft_from_due"), "p99_due_ttft": due.get("p99_ttft_from_due")}
    # A value that is not above 0 has no logarithm, and a session holds none.
    return {name: value for name, value in values.items() if value is not None and value > 0}


def work_of(result: LoadResult) -> dict[str, Any]:
    """What was asked and made, by the server's own count."""
    return {
        "requests": len(result.records),
        "succeeded": len(result.successes),
        "prompt_tokens": sum(record.prompt_tokens or 0 for record in result.successes),
        "output_tokens": sum(record.output_tokens or 0 for record in result.successes),
        "peak_concurrency": result.peak_concurrency,
    }


def costs_of(watched: Mapping[str, Any], told: Mapping[str, Any], peak_rss_bytes: int) -> dict[str, float]:
    """What the server took for the load, by what was seen beside it; the load client's own share is taken off."""
    gpu, tokens = watched.get("gpu", {}), told["output_tokens"]
    costs: dict[str, float | None] = {
        "cpu_time_per_token": (watched["use"]["own_cpu_s"] - told["client"]["cpu_s"]) / tokens if tokens else None,
        "peak_memory": float(peak_rss_bytes),
        "peak_gpu_memory": gpu.get("memory_bytes"),
        "energy_per_token": gpu["energy_j"] / tokens if gpu.get("energy_j") and tokens else None,
    }
    return {name: float(value) for name, value in costs.items() if value is not None and value > 0}


def queue_of(used: ServerUse | None) -> dict[str, float]:
    """The mean wait in the server's queue, where there was one to speak of."""
    waited_s = used.queue_s if used is not None else None
    return {"queue_time": waited_s} if waited_s is not None and waited_s >= _LEAST_QUEUE_S else {}


def load_fault(row: PlanRow, requests: Sequence[Request], result: LoadResult) -> str | None:
    """Why the work was not what was planned: failed requests by kind, or other numbers of tokens. None if it was."""
    found = measure(result, requests)
    if found.failed:
        kinds = ", ".join(
            f"{kind.kind.value} ({kind.count}{f': {kind.first}' if kind.first else ''})"
            for kind in found.failures[:_MOST_NAMED]
        )
        what_to_do = advice(kind.first for kind in found.failures)
        return f"{found.failed} of {found.requests} requests failed: {kinds}; {what_to_do}"
    uncounted = sum(record.prompt_tokens is None for record in result.records)
    if uncounted:
        return f"the server did not tell the prompt tokens of {uncounted} requests: expected `usage` in each stream"
    prompt_tokens = sum(record.prompt_tokens or 0 for record in result.records)
    if (prompt_tokens, found.total_output_tokens) != (row.prompt_tokens, row.output_tokens):
        return (
            f"the server counted {prompt_tokens} prompt tokens and {found.total_output_tokens} output tokens; sent and "
            f"asked for were {row.prompt_tokens} and {row.output_tokens}"
        )
    return None


def _latencies(found: Measures, *names: str) -> dict[str, float | None]:
    """The median under the metric's own name, its mean and its 99th percentile; seconds."""
    values: dict[str, float | None] = {}
    for name in names:
        statistics = found.statistics(name, [99.0])
        if statistics is not None:
            values[name] = statistics.median / 1e3
            values[f"mean_{name}"] = statistics.mean / 1e3
            values[f"p99_{name}"] = statistics.percentiles[99.0] / 1e3
    return values


def _short_ttft_s(row: PlanRow, requests: Sequence[Request], result: LoadResult) -> float | None:
    """The median over the short ones, where there are short and long ones."""
    return _median_s(
        [record.ttft_s for record in result.successes if requests[record.number].prompt_len < row.prompt_len]
    )


def _median_s(times_s: Sequence[float]) -> float | None:
    return median(times_s) if times_s else None
