"""The file of a run, as `vllm bench serve --save-result` writes it: the same keys, definitions, units and name.

What only tokgate knows is under "tokgate". A latency that was not measured, or that the client cannot vouch
for, is null, where vLLM writes 0.0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tokgate import __version__
from tokgate.serving.arrivals import Ramp
from tokgate.serving.load import LoadResult
from tokgate.serving.measures import Measures, Statistics, prompt_len
from tokgate.serving.record import RequestRecord
from tokgate.serving.request import Request
from tokgate.serving.setting import Setting
from tokgate.serving.speculation import Speculation
from tokgate.serving.vllm_file import DATE_FORMAT
from tokgate.session import write_atomically

# What has an entry for each request, and is left out but with --save-detailed. latencies and queue_times always stay.
_DETAILS = ("input_lens", "output_lens", "start_times", "ttfts", "itls", "generated_texts", "errors")
# Latencies from when a request was due, so that coordinated omission shows beside the usual ones.
_FROM_DUE = ("ttft_from_due", "e2el_from_due")
_DUE_PERCENTILES = (50.0, 90.0, 99.0)


def file_name(setting: Setting, when: datetime) -> str:
    """vLLM's pattern: openai-infqps-concurrency50-Qwen2.5-0.5B-20261121-030000.json"""
    pace = f"{setting.request_rate}qps"
    if setting.ramp is not None:
        pace = f"ramp-up-{setting.ramp.shape}-{setting.ramp.start_rps}qps-{setting.ramp.end_rps}qps"
    cap = "" if setting.max_concurrency is None else f"-concurrency{setting.max_concurrency}"
    model = setting.model.split("/")[-1]
    return f"{setting.label or setting.backend}-{pace}{cap}-{model}-{when.strftime(DATE_FORMAT)}.json"


def to_json(
    setting: Setting,
    measures: Measures,
    result: LoadResult,
    requests: Sequence[Request],
    when: datetime,
    fault: str | None = None,
    detailed: bool = False,
    speculation: Speculation | None = None,
) -> dict[str, Any]:
    """`when`: the date it gets, when the run had ended; `fault`: why its client cannot be believed."""
    data = {
        "date": when.strftime(DATE_FORMAT),
        "endpoint_type": setting.backend,
        "backend": setting.backend,
        "label": setting.label,
        "model_id": setting.model,
        "tokenizer_id": setting.tokenizer,
        "num_prompts": measures.requests,
        **setting.metadata,
        **_traffic(setting),
        **_totals(measures),
        **_lists(result, requests),
        "max_output_tokens_per_s": measures.max_output_tokens_per_s,
        "max_concurrent_requests": measures.max_concurrent_requests,
        # Of speech alone; a text has no duration.
        "rtfx": 0.0,
        **_rate_changes(setting, result, when),
        **({} if speculation is None else speculation.as_json()),
        **_latencies(setting, measures),
        "tokgate": _own(setting, measures, result, fault, detailed),
    }
    return data if detailed else {key: value for key, value in data.items() if key not in _DETAILS}


def write(data: Mapping[str, Any], path: Path, append: bool = False) -> None:
    """Writes the file whole, or adds an object on a line of its own, and makes its folder."""
    text = json.dumps(data)
    if not append:
        write_atomically(path, text.encode())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        # A terminal does not tell where it is.
        file.write(f"\n{text}" if file.seekable() and file.tell() else text)


def shown(percentile: float) -> str:
    """As keys and labels have it: 99.0 -> 99, 99.9 -> 99.9"""
    return f"{int(percentile)}" if percentile == int(percentile) else f"{percentile}"


def shown_metrics(setting: Setting, measures: Measures) -> dict[str, Statistics | None]:
    """The asked metrics that this run has, in vLLM's order; None where nothing was measured."""
    names = {"ttft": "ttft", "tpot": "tpot", "itl": "itl", "e2el": "e2el"}
    if setting.max_concurrency is not None:
        names["client_queue_time"] = "client_queue_time"
        if setting.scheduled:
            names["e2el_including_client_queue"] = "e2el_from_due"
    return {
        name: measures.statistics(source, setting.percentiles)
        for name, source in names.items()
        if name in setting.metrics
    }


def _traffic(setting: Setting) -> dict[str, Any]:
    ramp = setting.ramp
    return {
        "request_rate": _finite_or_text(setting.request_rate),
        "burstiness": _finite_or_text(setting.burstiness),
        "max_concurrency": setting.max_concurrency,
        **({} if ramp is None else _ramp(ramp)),
    }


def _finite_or_text(value: float) -> float | str:
    """JSON has no infinity."""
    return "inf" if math.isinf(value) else value


def _ramp(ramp: Ramp) -> dict[str, Any]:
    return {
        "ramp_up_strategy": ramp.shape, "ramp_up_start_rps": ramp.start_rps, "ramp_up_end_rps": ramp.end_rps
    }  # fmt: skip


def _totals(measures: Measures) -> dict[str, Any]:
    return {
        "duration": measures.duration_s,
        "completed": measures.completed,
        "failed": measures.failed,
        "total_input_tokens": measures.total_input_tokens,
        "total_output_tokens": measures.total_output_tokens,
        "request_throughput": measures.request_throughput,
        "request_goodput": measures.request_goodput,
        "output_throughput": measures.output_throughput,
        "total_token_throughput": measures.total_token_throughput,
    }


def _lists(result: LoadResult, requests: Sequence[Request]) -> dict[str, list[Any]]:
    """One entry a request, in the order of the workload; of a failed one what was seen of it, and no output tokens."""
    records = result.records
    return {
        "input_lens": [prompt_len(record, requests) for record in records],
        "output_lens": [record.output_tokens or 0 if record.failure is None else 0 for record in records],
        "ttfts": [record.ttft_s if record.message_s else 0.0 for record in records],
        "itls": [record.itl_s for record in records],
        "latencies": [record.e2el_s if record.message_s else 0.0 for record in records],
        "start_times": [record.sent_s for record in records],
        "queue_times": [record.queue_s for record in records],
        "generated_texts": [record.text for record in records],
        "errors": [error_of(record) for record in records],
    }


def error_of(record: RequestRecord) -> str:
    """What the file says of a request's failure; empty for a success."""
    if record.failure is None:
        return ""
    return f"{record.failure.value}: {record.detail}" if record.detail else record.failure.value


def _latencies(setting: Setting, measures: Measures) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, of in shown_metrics(setting, measures).items():
        found |= {f"{kind}_{name}_ms": getattr(of, kind) if of else None for kind in ("mean", "median", "std")}
        found |= {
            f"p{shown(percentile)}_{name}_ms": of.percentiles[percentile] if of else None
            for percentile in setting.percentiles
        }
    return {key: None if value is None or math.isnan(value) else value for key, value in found.items()}


def _rate_changes(setting: Setting, result: LoadResult, when: datetime) -> dict[str, Any]:
    """Of a ramp: when each whole number of requests a second was reached, by the requests that were due."""
    ramp = setting.ramp
    if ramp is None:
        return {}
    began = when - timedelta(seconds=result.duration_s)
    events: list[dict[str, Any]] = [{"rps": ramp.start_rps, "timestamp": began.isoformat()}]
    for record, rate_rps in zip(result.records, ramp.rates(len(result.records)), strict=True):
        due = began + timedelta(seconds=record.due_s - result.started_s)
        steps = range(events[-1]["rps"] + 1, int(rate_rps) + 1)
        events += [{"rps": rps, "timestamp": due.isoformat()} for rps in steps]
    return {"rps_change_events": events}


def _own(setting: Setting, measures: Measures, result: LoadResult, fault: str | None, detailed: bool) -> dict[str, Any]:
    own: dict[str, Any] = {
        "version": __version__,
        "valid": fault is None and not measures.failures,
        "success_rate_pct": measures.success_pct,
        "failures": {failure.kind.value: failure.count for failure in measures.failures},
        "client": asdict(result.health),
        "client_fault": fault,
        "itl_doubt": measures.itl_doubt,
    }
    if setting.scheduled:
        for name in _FROM_DUE:
            of = measures.statistics(name, _DUE_PERCENTILES)
            own[f"{name}_ms"] = None if of is None else {
                "mean": of.mean, **{f"p{shown(share)}": value for share, value in of.percentiles.items()}
            }  # fmt: skip
    if detailed:
        own["failure_kinds"] = [record.failure.value if record.failure else None for record in result.records]
        own["message_counts"] = [len(record.message_s) for record in result.records]
    return own
