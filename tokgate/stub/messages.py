"""The messages of an answer as vLLM 0.32 writes them: the same keys in the same order, without white space.

Only id, created and model differ between requests, and only usage between the messages of one, so that most of a
stream is one bytes object written again and again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tokgate.stub.asked import Asked

_Json = dict[str, Any]


@dataclass(frozen=True)
class Messages:
    """Makes the JSON of one answer's messages. `word` is the text of a token."""

    asked: Asked
    id: str
    created_s: int
    word: str

    @cached_property
    def _streamed(self) -> _Json:
        kind = "chat.completion.chunk" if self.asked.is_chat else "text_completion"
        return {"id": self.id, "object": kind, "created": self.created_s, "model": self.asked.model}

    def role(self) -> bytes:
        """The first message of a chat, which brings no token."""
        choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        return self._message([choice], 0, {"prompt_token_ids": None, "prompt_text": None})

    def tokens(self, count: int, total: int, finish_reason: str | None = None) -> bytes:
        """`count` tokens, `total` with those before; the last message has a finish_reason."""
        text = self.word * count
        if self.asked.is_chat:
            choice: _Json = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": finish_reason}
            if finish_reason:
                choice["stop_reason"] = None
            choice["token_ids"] = None
        else:
            choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason, "stop_reason": None}
            choice |= {"prompt_token_ids": None, "token_ids": None}
        return self._message([choice], total)

    def empty(self, total: int) -> bytes:
        """A message with no choice."""
        return self._message([], total)

    def usage(self, total: int) -> bytes:
        """The message after the last token, where the request has asked for it."""
        return _encode({**self._streamed, "choices": [], "usage": self._usage(total)})

    def whole(self, total: int) -> bytes:
        """The answer to a request that wants no stream."""
        text = self.word * total
        choice: _Json = {"index": 0, "logprobs": None, "finish_reason": "length", "stop_reason": None}
        if self.asked.is_chat:
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = text
        kind = "chat.completion" if self.asked.is_chat else "text_completion"
        return _encode({**self._streamed, "object": kind, "choices": [choice], "usage": self._usage(total)})

    def _message(self, choices: list[_Json], total: int, more: _Json | None = None) -> bytes:
        usage = {"usage": self._usage(total)} if self.asked.continuous_usage else {}
        return _encode({**self._streamed, "choices": choices, **usage, **(more or {})})

    def _usage(self, total: int) -> _Json:
        prompt = self.asked.prompt_tokens
        return {"prompt_tokens": prompt, "total_tokens": prompt + total, "completion_tokens": total}


def error(message: str, kind: str, code: int) -> bytes:
    """The body of an error."""
    return _encode({"error": {"message": message, "type": kind, "param": None, "code": code}})


def error_event(message: str, kind: str, code: int) -> bytes:
    """An error inside a stream, which vLLM writes with white space."""
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


def error_object(message: str, kind: str, code: int) -> bytes:
    """The form that OpenAI-compatible servers had before, vLLM up to 0.9 among them."""
    return _encode({"object": "error", "message": message, "type": kind, "param": None, "code": code})


def _encode(value: _Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
