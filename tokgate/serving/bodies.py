"""Samples -> requests of the OpenAI API, encoded before any clock runs. The JSON is what `vllm bench serve` sends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokgate.serving.datasets.sample import Sample
from tokgate.serving.request import Request

COMPLETIONS = "/v1/completions"
CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Wishes:
    """What all requests of a run ask for. `extra`: keys of --extra-body and of the sampling flags; they win."""

    model: str
    ignore_eos: bool = False
    logprobs: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def completion(sample: Sample, wishes: Wishes) -> dict[str, Any]:
    """A body of /v1/completions."""
    return {
        "model": wishes.model,
        "prompt": sample.prompt,
        "repetition_penalty": 1.0,
        "max_tokens": sample.output_len,
        "logprobs": wishes.logprobs,
        **_common(wishes),
    }


def chat(sample: Sample, wishes: Wishes) -> dict[str, Any]:
    """A body of /v1/chat/completions; --logprobs means nothing there."""
    return {
        "model": wishes.model,
        "messages": [{"role": "user", "content": [{"type": "text", "text": sample.prompt}]}],
        "max_completion_tokens": sample.output_len,
        **_common(wishes),
    }


@dataclass(frozen=True)
class Backend:
    """A value of --backend: where its requests go and what they look like."""

    endpoint: str
    body: Callable[[Sample, Wishes], dict[str, Any]]


BACKENDS: Mapping[str, Backend] = {
    "openai": Backend(COMPLETIONS, completion),
    "openai-chat": Backend(CHAT, chat),
    "vllm": Backend(COMPLETIONS, completion),
}


def requests(samples: Sequence[Sample], backend: str, wishes: Wishes) -> list[Request]:
    """One request a sample. Its length is exact where the body tells the server to ignore the end of sequence."""
    return [_request(sample, BACKENDS[backend].body(sample, wishes)) for sample in samples]


def _request(sample: Sample, body: Mapping[str, Any]) -> Request:
    # --extra-body may ask for another length, and may ignore the end of sequence where no flag did.
    asked = body.get("max_tokens", body.get("max_completion_tokens"))
    output_len = asked if isinstance(asked, int) else sample.output_len
    return Request(
        body=json.dumps(body).encode(),
        prompt_len=sample.prompt_len,
        output_len=output_len,
        exact=body.get("ignore_eos") is True,
        stream=body.get("stream") is True,
    )


def _common(wishes: Wishes) -> dict[str, Any]:
    ignored = {"ignore_eos": True} if wishes.ignore_eos else {}
    return {"stream": True, "stream_options": {"include_usage": True}, **ignored, **wishes.extra}
