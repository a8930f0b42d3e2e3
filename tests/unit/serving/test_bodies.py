from __future__ import annotations

import json
from typing import Any

import pytest

from tokgate.serving.bodies import Wishes, requests
from tokgate.serving.datasets.sample import Sample

pytestmark = pytest.mark.unit

SAMPLE = Sample("caf\u00e9 \ud83d", 4, 16)


def body(backend: str, wishes: Wishes) -> Any:
    (request,) = requests([SAMPLE], backend, wishes)
    return json.loads(request.body)


@pytest.mark.parametrize("backend", ["openai", "vllm"])
def test_a_completion_is_what_vllm_sends(backend: str) -> None:
    assert body(backend, Wishes("m", ignore_eos=True)) == {
        "model": "m", "prompt": SAMPLE.prompt, "repetition_penalty": 1.0, "max_tokens": 16, "logprobs": None,
        "stream": True, "stream_options": {"include_usage": True}, "ignore_eos": True,
    }  # fmt: skip


def test_a_chat_is_what_vllm_sends() -> None:
    content = [{"type": "text", "text": SAMPLE.prompt}]
    assert body("openai-chat", Wishes("m", logprobs=3)) == {
        "model": "m", "messages": [{"role": "user", "content": content}], "max_completion_tokens": 16,
        "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip


def test_extra_keys_win_and_the_request_knows_what_they_ask_for() -> None:
    extra = {"max_tokens": 9, "ignore_eos": True, "stream": False, "repetition_penalty": 1.2}
    (request,) = requests([SAMPLE], "openai", Wishes("m", extra=extra))
    assert json.loads(request.body) | extra == json.loads(request.body)
    assert (request.output_len, request.exact, request.stream) == (9, True, False)


@pytest.mark.parametrize("ignore_eos", [True, False])
def test_a_length_is_exact_only_where_nothing_else_may_end_the_answer(ignore_eos: bool) -> None:
    (request,) = requests([SAMPLE], "openai-chat", Wishes("m", ignore_eos=ignore_eos))
    assert (request.exact, request.prompt_len, request.output_len, request.stream) == (ignore_eos, 4, 16, True)
