"""From a row to the load of one round: requests whose prompts no round before had. Pure.

Prompts are token ids: their lengths are exact, and the server has nothing to tokenise. A server keeps what it computed
of a prompt, so a round that repeated the last one's prompts would measure its cache.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tokgate.plan import PlanRow
from tokgate.serving.request import Request
from tokgate.workload.prompts import Tokens, prompts_of

PATH = "/v1/completions"


def requests_of(
    row: PlanRow, model: str, vocab_size: int, seed: int, sampling: Mapping[str, Any], output_len: int | None = None
) -> list[Request]:
    """The requests of one round of `row`, of other prompts for another `seed`; `output_len`: another length."""
    assert row.traffic is not None
    prompts = prompts_of(row.traffic.prompts, row.requests, row.prompt_len, vocab_size, seed)
    length = row.output_len if output_len is None else output_len
    return [
        Request(_body(model, prompt[:prompt_len], length, sampling), prompt_len, length)
        for prompt, prompt_len in zip(prompts, row.prompt_lens, strict=True)
    ]


def _body(model: str, prompt: Tokens, output_len: int, sampling: Mapping[str, Any]) -> bytes:
    body = {
        "model": model,
        "prompt": prompt.tolist(),
        "max_tokens": output_len,
        "temperature": 0.0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
        **sampling,
    }
    return json.dumps(body, separators=(",", ":")).encode()
