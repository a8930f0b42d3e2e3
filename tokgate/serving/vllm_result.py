"""What a file of `vllm bench serve` is worth: its faults, and the session that it makes.

That command exits with 0 where every request failed, and writes 0.0 ms for what it could not measure. So a file
is believed only where its counts agree with one another and no latency is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tokgate.serving.vllm_file import DATE_FORMAT, LATENCIES, VllmFile
from tokgate.session import SCHEMA, Better, Row, Session

PROFILE = "vllm-bench-serve"
# Gated metrics are medians over requests, as in every serving row; the mean is what the published tables give.
_ROWS = {
    "median_ttft": "ttft",
    "median_tpot": "tpot",
    "median_itl": "itl",
    "median_e2el": "e2el",
    "mean_ttft": "mean_ttft",
    "mean_tpot": "mean_tpot",
    "p99_ttft": "p99_ttft",
    "p99_tpot": "p99_tpot",
}
_GATED = ("output_throughput", "ttft", "tpot")
_ROUNDING = 1e-6
# The most that two decimals take off or add, which is how vLLM prints both: a file may have been copied from there.
_LAST_DIGIT = 0.005


def faults(result: VllmFile) -> list[str]:
    """Why the file cannot be believed, whatever it is held against; empty if nothing speaks against it."""
    client = [result.client_fault] if result.client_fault else []
    return [*client, *_request_faults(result), *_latency_faults(result), *_detail_faults(result)]


def notes(result: VllmFile) -> list[str]:
    """What is odd in the file and yet no fault."""
    found = []
    if result.failed is None:
        found.append("the file does not say how many requests failed; that none is missing is judged by `completed`")
    cut = [f"{key} lists {len(values)}" for key, values in _lists(result) if 0 < len(values) < result.num_prompts]
    if cut:
        found.append(f"{', '.join(cut)} of {result.num_prompts} requests: the rest was cut and is not checked")
    return found


def to_session(
    result: VllmFile, scenario: str | None, reasons: Sequence[str], machine_id: str, written: str
) -> Session:
    """The file as a session of one launch; invalid where there are `reasons`.

    `scenario`: whose row it is, None where that cannot be told; `written`: RFC 3339, when the file was, for a file
    without a date.
    """
    stem = result.name.removesuffix(".json")
    return Session(
        schema=SCHEMA,
        id=stem if not result.date or result.date in stem else f"{stem}-{result.date}",
        # The client's clock, of which the file gives no zone.
        started=datetime.strptime(result.date, DATE_FORMAT).isoformat() if result.date else written,
        profile=PROFILE,
        machine={"id": machine_id, "kind": "gpu"},
        software={},
        valid=not reasons,
        reasons=list(reasons),
        rows=_rows(result, scenario) if scenario is not None else [],
        provenance={"file": result.name, "model": result.model},
    )


def _rows(result: VllmFile, scenario: str) -> list[Row]:
    """The metrics the file has; what is 0 was not measured."""
    success_pct = 100 * result.completed / result.num_prompts
    found: list[tuple[str, str, Better, float]] = [
        ("output_throughput", "tok/s", "higher", result.output_throughput),
        ("request_throughput", "req/s", "higher", result.request_throughput),
        ("success_rate", "%", "higher", success_pct),
    ]
    found += [
        (metric, "s", "lower", result.latencies_ms[key] / 1000)
        for key, metric in _ROWS.items()
        if key in result.latencies_ms
    ]
    group = scenario.rsplit(".", 3)[0]
    return [
        Row(
            scenario=scenario, metric=metric, unit=unit, better=better,
            gated=metric in _GATED, launches=[[value]], group=group,
        )
        for metric, unit, better, value in found
        if value > 0
    ]  # fmt: skip


def _request_faults(result: VllmFile) -> list[str]:
    found = []
    asked, completed, failed = result.num_prompts, result.completed, result.failed or 0
    if failed:
        found.append(f"{failed} of {asked} requests failed; see the server's log, and measure again")
    if completed + failed < asked:
        missing = asked - completed - failed
        found.append(f"{missing} of {asked} requests are missing: {completed} completed; measure again")
    if completed + failed > asked:
        found.append(f"{completed} completed and {failed} failed requests of {asked}: the file contradicts itself")
    if completed and not result.output_throughput:
        found.append("output_throughput is 0: nothing was generated")
        return found
    # vLLM divides tokens by duration: where that is not what the file says, somebody else wrote one of the three.
    follows = result.total_output_tokens / result.duration_s
    if abs(result.output_throughput - follows) > _LAST_DIGIT * (1 + follows / result.duration_s):
        found.append(
            f"the file says {result.output_throughput:.7g} tok/s, and its {result.total_output_tokens} tokens in "
            f"{result.duration_s:.7g} s make {follows:.7g}: the file was edited, or its parts are of different runs"
        )
    return found


def _latency_faults(result: VllmFile) -> list[str]:
    found = []
    # Of one token there is no time per output token after the first.
    one_token_each = result.completed == result.total_output_tokens > 0
    counted = ("ttft", "e2el") if one_token_each else LATENCIES
    # tokgate gives messages that came in one read one time: where a server or a proxy writes several at once, most gaps
    # are 0, and their mean is not. vLLM's client gives each its own, and writes 0 for all where it measured none.
    measured = result.by_tokgate and result.latencies_ms.get("mean_itl", 0) > 0
    zero = [
        f"{key}_ms"
        for key, value in result.latencies_ms.items()
        if value == 0 and key.endswith(counted) and not (measured and key.endswith("_itl"))
    ]
    if zero:
        found.append(f"{', '.join(zero)} {'is' if len(zero) == 1 else 'are'} 0: not measured, whatever was printed")
    for latency in ("ttft",) if one_token_each else ("ttft", "tpot"):
        if f"p99_{latency}" not in result.latencies_ms:
            found.append(
                f"there is no p99_{latency}_ms; measure with --percentile-metrics ttft,tpot,itl,e2el "
                "--metric-percentiles 99"
            )
    for latency in LATENCIES:
        median, p99 = (result.latencies_ms.get(f"{statistic}_{latency}") for statistic in ("median", "p99"))
        if median is not None and p99 is not None and p99 < median * (1 - _ROUNDING):
            found.append(
                f"p99_{latency}_ms {p99:.6g} is below median_{latency}_ms {median:.6g}: the file contradicts itself"
            )
    return found


def _detail_faults(result: VllmFile) -> list[str]:
    found = []
    details = result.details
    errors = [error for error in details.errors if error.strip()]
    if errors:
        first = errors[0].strip().splitlines()[-1][:200]
        found.append(f"{len(errors)} of {result.num_prompts} requests ended with an error; the first: {first!r}")
    for key, values in _lists(result):
        if len(values) > result.num_prompts:
            found.append(f"{key} lists {len(values)} of {result.num_prompts} requests: the file contradicts itself")
    unserved = sum(ttft == 0 for ttft in details.ttfts_s)
    if unserved:
        found.append(f"{unserved} of {result.num_prompts} requests have a ttft of 0: they got no token")
    return found


def _lists(result: VllmFile) -> list[tuple[str, Sequence[object]]]:
    details = result.details
    return [("errors", details.errors), ("output_lens", details.output_lens), ("ttfts", details.ttfts_s)]
