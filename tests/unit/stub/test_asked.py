"""Requests as clients write them."""

from __future__ import annotations

import json

import pytest

from tokgate.stub.asked import Asked, RefusedError, read

pytestmark = pytest.mark.unit


def asked(is_chat: bool = False, served: str | None = None, **body) -> Asked:
    return read(json.dumps(body).encode(), is_chat, served, "stub")


def test_a_benchmarks_request_is_read_and_the_rest_of_it_passed_over():
    wanted = asked(
        model="m", prompt=[5, 6, 7], max_tokens=128, stream=True, ignore_eos=True, temperature=0.0, logprobs=None,
        repetition_penalty=1.0, stream_options={"include_usage": True, "continuous_usage_stats": True},
    )  # fmt: skip
    assert wanted == Asked(False, "m", 3, 128, stream=True, usage=True, continuous_usage=True)


@pytest.mark.parametrize(
    ("prompt", "tokens"), [("three words  here", 3), ([1, 2], 2), ([[1, 2, 3]], 3), (["a b"], 2), ("", 0)]
)
def test_prompt_tokens_are_ids_or_words(prompt, tokens):
    assert asked(prompt=prompt).prompt_tokens == tokens


def test_a_chats_prompt_is_the_words_of_all_messages():
    content = [{"type": "text", "text": "d e"}, {"type": "image_url", "image_url": {"url": "x"}}]
    messages = [{"role": "system", "content": "a b c"}, {"role": "user", "content": content}, {"role": "assistant"}]
    assert asked(is_chat=True, messages=messages).prompt_tokens == 5


def test_the_length_is_max_completion_tokens_for_a_chat_and_16_unsaid():
    messages = [{"role": "user", "content": "a"}]
    assert asked(is_chat=True, messages=messages, max_completion_tokens=7, max_tokens=9).tokens == 7
    assert asked(is_chat=True, messages=messages, max_tokens=9).tokens == 9
    assert asked(prompt="a", max_completion_tokens=7, max_tokens=9).tokens == 9
    assert asked(prompt="a").tokens == 16


def test_continuous_usage_goes_with_usage_only():
    options = {"continuous_usage_stats": True}
    assert not asked(prompt="a", stream=True, stream_options=options).continuous_usage


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"prompt": "a", "model": "other"}, 404),
        ({"prompt": "a", "n": 2}, 400),
        ({"prompt": "a", "max_tokens": 0}, 400),
        ({"prompt": "a", "max_tokens": "many"}, 400),
        ({"prompt": ["a", "b"]}, 400),
        ({"prompt": []}, 400),
        ({}, 400),
    ],
)
def test_what_it_cannot_do_is_refused(body, status):
    with pytest.raises(RefusedError) as refused:
        asked(served="m", **body)
    assert refused.value.status == status


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"prompt": "\xff"}'])
def test_a_body_that_is_no_request_is_refused(body):
    with pytest.raises(RefusedError, match="the body is no request"):
        read(body, False, None, "stub")


def test_a_chat_without_messages_is_refused():
    with pytest.raises(RefusedError, match="at least one"):
        asked(is_chat=True, messages=[])
