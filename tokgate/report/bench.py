"""What `tokgate bench serve` prints: the table that people parse, with vLLM's labels, and a live line while it runs."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tokgate.serving.load import ClientHealth, LoadResult
from tokgate.serving.measures import Measures, Statistics
from tokgate.serving.request import Request
from tokgate.serving.result_file import shown, shown_metrics
from tokgate.serving.setting import Setting
from tokgate.serving.speculation import Speculation

if TYPE_CHECKING:
    from tokgate.serving.client import LoadProgress

_WIDTH = 50
# ECMA-48: to the end of the line.
_ERASE = "\x1b[K"
_DETAIL_WIDTH = 200
_P99 = 99.0
_METRICS = {
    "ttft": ("TTFT", "Time to First Token"),
    "tpot": ("TPOT", "Time per Output Token (excl. 1st token)"),
    "itl": ("ITL", "Inter-token Latency"),
    "e2el": ("E2EL", "End-to-end Latency"),
    "client_queue_time": ("Client Queue Time", "Client-side Queueing"),
    "e2el_including_client_queue": ("E2EL incl. Client Queue", "Queue-inclusive End-to-end Latency"),
}
_FROM_DUE = {"ttft_from_due": "TTFT from due", "e2el_from_due": "E2EL from due"}


def table(
    setting: Setting,
    measures: Measures,
    health: ClientHealth,
    fault: str | None,
    speculation: Speculation | None = None,
) -> list[str]:
    """The lines of the result. Labels and their order are those of `vllm bench serve`; tokgate's own come last."""
    lines = [_heading("Serving Benchmark Result", "="), *_totals(setting, measures)]
    for name, of in shown_metrics(setting, measures).items():
        lines += _latency(name, of, setting.percentiles)
    if speculation is not None:
        lines += _speculation(speculation)
    if setting.scheduled:
        lines += _from_due(measures)
    lines += _validity(setting, measures, health, fault)
    return [*lines, "=" * _WIDTH]


def _totals(setting: Setting, measures: Measures) -> Iterator[str]:
    yield _line("Successful requests:", measures.completed)
    yield _line("Failed requests:", measures.failed)
    if setting.max_concurrency is not None:
        yield _line("Maximum request concurrency:", setting.max_concurrency)
    if setting.request_rate != float("inf"):
        yield _line("Request rate configured (RPS):", setting.request_rate)
    yield _line("Benchmark duration (s):", measures.duration_s)
    yield _line("Total input tokens:", measures.total_input_tokens)
    yield _line("Total generated tokens:", measures.total_output_tokens)
    yield _line("Request throughput (req/s):", measures.request_throughput)
    if measures.request_goodput is not None:
        yield _line("Request goodput (req/s):", measures.request_goodput)
    yield _line("Output token throughput (tok/s):", measures.output_throughput)
    yield _line("Peak output token throughput (tok/s):", measures.max_output_tokens_per_s)
    yield _line("Peak concurrent requests:", measures.max_concurrent_requests)
    yield _line("Total token throughput (tok/s):", measures.total_token_throughput)


def _latency(name: str, of: Statistics | None, percentiles: Sequence[float]) -> Iterator[str]:
    short, long = _METRICS[name]
    yield _heading(long, "-")
    yield _line(f"Mean {short} (ms):", of.mean if of else None)
    yield _line(f"Median {short} (ms):", of.median if of else None)
    for percentile in percentiles:
        yield _line(f"P{shown(percentile)} {short} (ms):", of.percentiles[percentile] if of else None)


def _from_due(measures: Measures) -> Iterator[str]:
    """What the schedule's users saw: a request that waited for a slot is late by that, which TTFT and E2EL leave out.

    Shown whatever metrics were asked for: where these are far above TTFT and E2EL, the load was not at its rate.
    """
    yield _heading("From When Requests Were Due", "-")
    for source, name in _FROM_DUE.items():
        of = measures.statistics(source, (_P99,))
        yield _line(f"Mean {name} (ms):", of.mean if of else None)
        yield _line(f"P99 {name} (ms):", of.percentiles[_P99] if of else None)
    sent, due = measures.request_goodput, measures.goodput_from_due
    if sent is not None and due is not None and due < sent:
        yield _line("Request goodput from due (req/s):", due)


def _speculation(of: Speculation) -> Iterator[str]:
    yield _heading("Speculative Decoding", "-")
    yield _line("Acceptance rate (%):", of.acceptance_pct)
    yield _line("Acceptance length:", of.acceptance_length)
    yield _line("Drafts:", of.drafts)
    yield _line("Draft tokens:", of.draft_tokens)
    yield _line("Accepted tokens:", of.accepted_tokens)
    if of.acceptance_at:
        yield "Per-position acceptance (%):"
    for position, share in enumerate(of.acceptance_at):
        yield _line(f"  Position {position}:", share * 100)


def _validity(setting: Setting, measures: Measures, health: ClientHealth, fault: str | None) -> Iterator[str]:
    """Whether to believe it, and the client's own condition."""
    yield _heading("Validity", "-")
    yield _line("Success rate (%):", measures.success_pct)
    for failure in measures.failures:
        yield _line(f"  {failure.kind.value}:", failure.count)
        if failure.first:
            yield f"    first: {failure.first[:_DETAIL_WIDTH]}"
    yield _line("Client processes:", health.processes)
    yield _line("Client CPU (% of one core):", 100 * health.cpu_share)
    yield _line("P99 client loop lag (ms):", 1000 * health.loop_lag_p99_s)
    if setting.scheduled:
        yield _line("P99 client schedule lag (ms):", 1000 * health.schedule_lag_p99_s)
    yield _line("Client:", "kept up" if fault is None else "TOO SLOW" if health.is_known else "NOT KNOWN")
    if fault is not None:
        yield f"    {fault}"
    if measures.itl_doubt is not None and "itl" in setting.metrics:
        yield _line("Spread of ITL:", "withheld")
        yield f"    {measures.itl_doubt}"


def _line(label: str, value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        text = value or "not measured"
    else:
        text = "withheld" if math.isnan(value) else f"{value:.2f}" if isinstance(value, float) else str(value)
    return f"{label:<40} {text:<10}".rstrip()


def _heading(text: str, fill: str) -> str:
    return f"{f' {text} ' if fill == '=' else text:{fill}^{_WIDTH}}"


def notes(requests: Sequence[Request], result: LoadResult, counted: bool) -> Iterator[str]:
    """What is odd in a result and yet no fault. `counted`: whether prompts were planned as the server counts them."""
    planned = [(requests[record.number].prompt_len, record.prompt_tokens) for record in result.successes]
    other = [(plan, seen) for plan, seen in planned if plan and seen is not None and plan != seen]
    if counted and other:
        yield (
            f"the server counted other prompt lengths than planned in {len(other)} of {len(planned)} requests (first: "
            f"{other[0][1]} for {other[0][0]} tokens); is --tokenizer the server's?"
        )


@contextmanager
def open_progress(quiet: bool) -> Iterator[Callable[[LoadProgress], None] | None]:
    """A line on a terminal while requests run: how many are done and failed, tokens a second, the time left.

    None where standard error is no terminal or somebody asked for quiet. The client calls it between arrivals: a bar of
    rich takes it milliseconds to draw, which would be late timestamps; a line takes microseconds.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return

    def show(now: LoadProgress) -> None:
        sys.stderr.write(f"\r{progress_text(now)}{_ERASE}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write(f"\r{_ERASE}")
        sys.stderr.flush()


def progress_text(now: LoadProgress) -> str:
    """Such as: 120/200 done, 3 failed, 50 running, 3,120 tok/s, 0:23 left"""
    parts = [f"{now.done}/{now.total} done"]
    if now.failed:
        parts.append(f"{now.failed} failed")
    parts.append(f"{now.running} running")
    if now.elapsed_s > 0:
        parts.append(f"{now.output_tokens / now.elapsed_s:,.0f} tok/s")
    if now.done:
        minutes, seconds = divmod(round(now.elapsed_s / now.done * (now.total - now.done)), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    return ", ".join(parts)
