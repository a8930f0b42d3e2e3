"""What a request asks for: the part of OpenAI's API that says how much is to be streamed, and in which form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from tokgate.errors import TokgateError

PATHS = {b"/v1/completions": False, b"/v1/chat/completions": True}
# OpenAI's own for completions.
_DEFAULT_TOKENS = 16


class RefusedError(TokgateError):
    """A request that is answered with `status`."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Asked:
    """`tokens`: how many are to come; `continuous_usage`: usage in every message."""

    is_chat: bool
    model: str
    prompt_tokens: int
    tokens: int
    stream: bool
    usage: bool
    continuous_usage: bool


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class _Body(msgspec.Struct):
    """Everything else, ignore_eos and sampling included, changes nothing here."""

    model: str | None = None
    prompt: Any = None
    messages: list[dict[str, Any]] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


_decode = msgspec.json.Decoder(_Body).decode


def read(body: bytes, is_chat: bool, served: str | None, default_model: str) -> Asked:
    """Reads a request's JSON; `served` is the only model there is, None: any. Raises RefusedError."""
    try:
        asked = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(f"the body is no request: {error}") from None
    model = asked.model or served or default_model
    if served is not None and model != served:
        raise RefusedError(f"The model `{model}` does not exist.", 404)
    if asked.n not in (None, 1):
        raise RefusedError(f"n is {asked.n}: this server writes one choice")
    tokens = asked.max_completion_tokens if is_chat and asked.max_completion_tokens else asked.max_tokens
    if tokens is None:
        tokens = _DEFAULT_TOKENS
    if tokens < 1:
        raise RefusedError(f"max_tokens is {tokens}: it must be at least 1")
    options = asked.stream_options or _StreamOptions()
    return Asked(
        is_chat,
        model,
        _chat_len(asked.messages) if is_chat else _prompt_len(asked.prompt),
        tokens,
        bool(asked.stream),
        usage=bool(options.include_usage),
        continuous_usage=bool(options.include_usage and options.continuous_usage_stats),
    )


def _prompt_len(prompt: object) -> int:
    """Tokens where the prompt is a list of them, words where it is text."""
    if isinstance(prompt, str):
        return len(prompt.split())
    if isinstance(prompt, list) and prompt:
        if len(prompt) == 1 and isinstance(prompt[0], (str, list)):
            return _prompt_len(prompt[0])
        if isinstance(prompt[0], int):
            return len(prompt)
    raise RefusedError("prompt: expected a text or a list of token ids, one prompt a request")


def _chat_len(messages: list[dict[str, Any]] | None) -> int:
    if not messages:
        raise RefusedError("messages: expected a list of at least one")
    return sum(_words(message.get("content")) for message in messages)


def _words(content: object) -> int:
    if isinstance(content, str):
        return len(content.split())
    if isinstance(content, list):
        return sum(_words(part.get("text")) for part in content if isinstance(part, dict))
    return 0
