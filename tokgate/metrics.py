"""From what a round did to the metrics of a row. Pure; the definitions are vLLM's where it has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tokgate.session import Better


@dataclass(frozen=True)
class Metric:
    """Name, unit and direction of a metric; durations in seconds."""

    name: str
    unit: str
    better: Better


OFFLINE_METRICS = (
    Metric("output_throughput", "tok/s", "higher"),
    Metric("ttft", "s", "lower"),
    Metric("tpot", "s", "lower"),
    Metric("e2el", "s", "lower"),
    Metric("cpu_time_per_token", "s", "lower"),
    Metric("peak_memory", "B", "lower"),
    Metric("peak_gpu_memory", "B", "lower"),
    Metric("energy_per_token", "J", "lower"),
)
SERVING_METRICS = (
    Metric("output_throughput", "tok/s", "higher"),
    Metric("request_throughput", "req/s", "higher"),
    Metric("goodput", "req/s", "higher"),
    Metric("success_rate", "%", "higher"),
    Metric("ttft", "s", "lower"),
    Metric("tpot", "s", "lower"),
    Metric("itl", "s", "lower"),
    Metric("e2el", "s", "lower"),
    Metric("mean_ttft", "s", "lower"),
    Metric("mean_tpot", "s", "lower"),
    Metric("p99_ttft", "s", "lower"),
    Metric("p99_tpot", "s", "lower"),
    Metric("p99_itl", "s", "lower"),
    Metric("p90_e2el", "s", "lower"),
    Metric("p95_e2el", "s", "lower"),
    Metric("p99_e2el", "s", "lower"),
    # From when a request of an open loop was due, not from when it was sent: a client that waits hides what users feel.
    Metric("due_ttft", "s", "lower"),
    Metric("p99_due_ttft", "s", "lower"),
    # Of the short ones among mixed prompts.
    Metric("short_ttft", "s", "lower"),
    # How long a request waited in the server (the mean, as it tells it), and in the client for one of its slots.
    Metric("queue_time", "s", "lower"),
    Metric("client_queue_time", "s", "lower"),
    Metric("cpu_time_per_token", "s", "lower"),
    Metric("peak_memory", "B", "lower"),
    Metric("peak_gpu_memory", "B", "lower"),
    Metric("energy_per_token", "J", "lower"),
    # By `vllm bench serve` on the same server, of rows that cross-check the two clients.
    Metric("vllm_bench_output_throughput", "tok/s", "higher"),
    Metric("vllm_bench_ttft", "s", "lower"),
    Metric("vllm_bench_tpot", "s", "lower"),
    Metric("vllm_bench_mean_ttft", "s", "lower"),
    Metric("vllm_bench_mean_tpot", "s", "lower"),
    # What a client's mean TTFT is longer by than the server's own of the same requests, see serving/crosscheck.py.
    Metric("ttft_overhead", "s", "lower"),
    Metric("vllm_bench_ttft_overhead", "s", "lower"),
)


def metrics_of(engine: str) -> tuple[Metric, ...]:
    """The metrics of an engine's rows."""
    return SERVING_METRICS if engine == "serve" else OFFLINE_METRICS


class Sample(Protocol):
    """What one round measured."""

    def values(self) -> Mapping[str, float]:
        """Metric name -> value, of the metrics that the round has."""


@dataclass(frozen=True)
class ServingRound:
    """One load on a server, as its worker summed it up, see serving/figures.py."""

    figures: Mapping[str, float]

    def values(self) -> Mapping[str, float]:
        return self.figures


@dataclass(frozen=True)
class Round:
    """One generate call: wall seconds to the first token of all sequences and to the last, and its cost.

    `gpu_peak_bytes` and `energy_j` are those of all GPUs used, None on a CPU and where the board does not say.
    """

    output_tokens: int
    batch: int
    prefill_s: float
    total_s: float
    cpu_s: float
    peak_rss_bytes: int
    tpot_s: float | None = None
    gpu_peak_bytes: int | None = None
    energy_j: float | None = None

    def values(self) -> dict[str, float]:
        """Metric name -> value. TPOT is (E2EL - TTFT) / (n - 1) and exists only for n > 1 tokens a sequence.

        `tpot_s` is that of an engine that knows it by sequence.
        """
        per_sequence = self.output_tokens // self.batch
        values = {
            "output_throughput": self.output_tokens / self.total_s,
            "ttft": self.prefill_s,
            "e2el": self.total_s,
            "cpu_time_per_token": self.cpu_s / self.output_tokens,
            "peak_memory": float(self.peak_rss_bytes),
        }
        if per_sequence > 1:
            whole_batch_s = (self.total_s - self.prefill_s) / (per_sequence - 1)
            values["tpot"] = whole_batch_s if self.tpot_s is None else self.tpot_s
        if self.gpu_peak_bytes is not None:
            values["peak_gpu_memory"] = float(self.gpu_peak_bytes)
        if self.energy_j is not None:
            values["energy_per_token"] = self.energy_j / self.output_tokens
        return values
