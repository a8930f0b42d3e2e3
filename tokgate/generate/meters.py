"""What a /generate service tells of itself at /metrics."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from tokgate.generate.textmodel import Answer
from tokgate.machine.memory import family_peak_rss_bytes

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250)
_SIZES = (1, 2, 4, 8, 16, 32, 64)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Meters:
    """In a registry of its own: two services in one process do not meet."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        prefix: Any = {"namespace": "tokgate_generate", "registry": self._registry}
        self.requests = Counter("requests", "Requests that were answered, by HTTP status", ["status"], **prefix)
        self.gone = Counter("disconnects", "Requests whose client went away before its answer", **prefix)
        self.in_flight = Gauge("in_flight", "Requests that are being generated", **prefix)
        self.queue = Gauge("queue_length", "Requests that wait", **prefix)
        self._latency = Histogram(
            "latency_seconds", "From a request's arrival to its answer", buckets=_SECONDS, **prefix
        )
        self._queued = Histogram("queue_seconds", "How long a request waited", buckets=_SECONDS, **prefix)
        self._batch = Histogram("batch_size", "Requests generated at once, by request", buckets=_SIZES, **prefix)
        self._prompt = Counter("prompt_tokens", "Prompt tokens of answered requests", **prefix)
        self._output = Counter("output_tokens", "Output tokens of answered requests", **prefix)
        peak = Gauge("peak_memory_bytes", "Largest resident memory, engine processes included", **prefix)
        peak.set_function(family_peak_rss_bytes)
        ProcessCollector(registry=self._registry)

    def answered(self, answer: Answer, queue_s: float, latency_s: float) -> None:
        self._latency.observe(latency_s)
        self._queued.observe(queue_s)
        self._batch.observe(answer.batch)
        self._prompt.inc(answer.prompt_tokens)
        self._output.inc(answer.output_tokens)

    def text(self) -> bytes:
        return generate_latest(self._registry)
