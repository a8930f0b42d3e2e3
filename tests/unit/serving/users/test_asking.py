"""What users send."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tokgate.serving.users.asking import Asking, Prompts
from tokgate.serving.users.texts import Texts

pytestmark = pytest.mark.unit


def body(asking: Asking, prompt: Any = "hello") -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(asking.request(prompt, 0).body)
    return decoded


def test_a_streamed_completion_asks_for_the_count_of_its_tokens() -> None:
    asking = Asking("completions", True, 100, model="qwen")
    assert asking.path == "/v1/completions"
    assert body(asking) == {
        "model": "qwen", "prompt": "hello", "max_tokens": 100, "temperature": 0.0, "ignore_eos": True,
        "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip
    request = asking.request([1, 2, 3], 3)
    assert (request.prompt_len, request.output_len, request.exact, request.stream) == (3, 100, True, True)


def test_a_whole_chat_is_a_message_of_the_user() -> None:
    asking = Asking("chat", False, 10, exact=False)
    assert asking.path == "/v1/chat/completions"
    assert body(asking) == {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 10, "temperature": 0.0}


def test_generate_is_asked_as_the_assignment_asks() -> None:
    asking = Asking("generate", False, 100, temperature=0.5, exact=False)
    assert asking.path == "/generate"
    assert body(asking) == {"prompt": "hello", "parameters": {"temperature": 0.5, "max_steps": 100}}
    assert body(Asking("generate", False, 100))["parameters"]["ignore_eos"] is True


def test_no_two_prompts_are_alike() -> None:
    """Nor those of two users: a server keeps what it computed of a prompt."""
    prompts = [Prompts(7, 1000, seed) for seed in ("one", "other")]
    drawn = [tuple(each.next()[0]) for each in prompts for _ in range(50)]
    assert len(set(drawn)) == 100
    assert all(len(prompt) == 7 and all(0 <= token < 1000 for token in prompt) for prompt in drawn)


def test_without_a_vocabulary_prompts_are_words_that_nobody_counted() -> None:
    text, tokens = Prompts(7, 0, "seed").next()
    assert isinstance(text, str)
    assert (len(text.split()), tokens) == (7, 0)


class Words:
    """A token is a word."""

    vocab_size = 1000

    def encode(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]

    def decode(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))


def test_no_two_texts_are_alike_however_many_are_sent() -> None:
    """More than any list of texts would have held, of several users."""
    texts = Texts(Words(), 7)
    users = [Prompts(9, 0, seed, texts) for seed in ("one", "other")]
    drawn = [each.next() for each in users for _ in range(600)]
    assert len({text for text, _ in drawn}) == 1200
    assert all(len(str(text).split()) == tokens == 7 for text, tokens in drawn)


def test_a_seed_asks_the_same_again() -> None:
    def asked(seed: str) -> list[object]:
        return [prompts.next() for prompts in [Prompts(7, 0, seed, Texts(Words(), 7))] for _ in range(5)]

    assert asked("one") == asked("one")
    assert asked("one") != asked("other")
