"""What `vllm bench serve --save-result` writes for 200 prompts, 512/512, concurrency 50; every number is made up."""

from __future__ import annotations

from typing import Any

SCENARIO = "qwen2.5-0.5b.serve.fp16.c50.p512.o512"
_REQUESTS, _TOKENS = 200, 512

RESULT: dict[str, Any] = {
    "date": "20261121-030000",
    "endpoint_type": "openai",
    "backend": "openai",
    "label": None,
    "model_id": "Qwen/Qwen2.5-0.5B",
    "tokenizer_id": "Qwen/Qwen2.5-0.5B",
    "num_prompts": _REQUESTS,
    "request_rate": "inf",
    "burstiness": 1.0,
    "max_concurrency": 50,
    "duration": 30.0,
    "completed": _REQUESTS,
    "failed": 0,
    "total_input_tokens": 102407,
    "total_output_tokens": _REQUESTS * _TOKENS,
    "request_throughput": 6.667,
    "request_goodput": None,
    "output_throughput": 3413.3,
    "total_token_throughput": 6826.9,
    "max_output_tokens_per_s": 4100.0,
    "max_concurrent_requests": 78,
    "rtfx": 0.0,
    **{
        f"{statistic}_{latency}_ms": factor * milliseconds
        for latency, milliseconds in {"ttft": 400.0, "tpot": 14.0, "itl": 14.0, "e2el": 7500.0}.items()
        for statistic, factor in {"mean": 1.02, "median": 1.0, "std": 0.3, "p50": 1.0, "p90": 1.2, "p99": 1.5}.items()
    },
}


def result(**changes: Any) -> dict[str, Any]:
    """A result that keeps every bound; `changes` replace its keys, and None writes null."""
    return {**RESULT, **changes}


def without(*keys: str, **changes: Any) -> dict[str, Any]:
    return {key: value for key, value in result(**changes).items() if key not in keys}


def detailed(**changes: Any) -> dict[str, Any]:
    """As --save-detailed writes it."""
    details = {"errors": [""] * _REQUESTS, "output_lens": [_TOKENS] * _REQUESTS, "ttfts": [0.4] * _REQUESTS}
    return result(**{**details, **changes})


def all_failed(requests: int = 10) -> dict[str, Any]:
    """What is written where no request succeeded: the command exits with 0 and every figure is 0.0."""
    zeros = {key: 0.0 for key in RESULT if key.endswith(("_ms", "_throughput", "_per_s"))}
    return result(
        **zeros,
        num_prompts=requests,
        completed=0,
        failed=requests,
        total_input_tokens=0,
        total_output_tokens=0,
        max_concurrent_requests=0,
        duration=0.2,
    )
