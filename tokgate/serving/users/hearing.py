"""What a user was answered, and whether that is what was asked for. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from tokgate.serving.answer import Answer, Fault, quoted
from tokgate.serving.events import EventError, EventSplitter
from tokgate.serving.record import Failure
from tokgate.serving.request import Request


@dataclass(frozen=True)
class Heard:
    """One request that ended; seconds since just before it was written. `ttft_s`, `tpot_s`: of a streamed answer, of
    which `e2el_s` is the last message with choices, as of any other the end of its body.

    `fault`: why it is no success. `connected_s`: what passed before it was written, next to nothing unless it had to
    connect.
    """

    e2el_s: float
    ttft_s: float | None
    tpot_s: float | None
    prompt_tokens: int | None
    output_tokens: int | None
    fault: Fault | None
    connected_s: float = 0.0


class _Generated(msgspec.Struct):
    """Of the answer of POST /generate what counts. A server that does not count its tokens has them not checked."""

    response: str
    prompt_tokens: int | None = None
    output_tokens: int | None = None


class Hearing:
    """Takes the pieces of one answer's body as they come."""

    def __init__(self, request: Request, api: str) -> None:
        self._request = request
        self._is_generate = api == "generate"
        self._answer = Answer(request, keep_text=False)
        self._splitter = EventSplitter() if request.stream and not self._is_generate else None
        self._pieces: list[bytes] = []
        self._fault: Fault | None = None

    def take(self, piece: bytes, at_s: float) -> None:
        """`at_s`: when its bytes had come, in seconds since the request was sent."""
        if self._splitter is None:
            self._pieces.append(piece)
            return
        try:
            for event in self._splitter.feed(piece):
                self._answer.take(event, at_s)
        except EventError as error:
            self._fault = self._fault or Fault(Failure.MALFORMED, str(error))

    def ended(self, status: int, at_s: float) -> Heard:
        """The body is whole."""
        if status != 200:
            body = b"".join(self._pieces)
            return self._failed(at_s, Fault(_failure_of(status), f"{status} {quoted(body)}".strip()))
        if self._is_generate:
            return self._generated(at_s)
        if self._splitter is None:
            self._answer.take(b"".join(self._pieces), at_s)
        else:
            for event in self._splitter.close():
                self._answer.take(event, at_s)
        answer = self._answer
        fault = self._fault or answer.verdict() or self._miscounted(answer.prompt_tokens)
        times, tokens = answer.message_s, answer.output_tokens
        streamed = self._splitter is not None and len(times) > 0
        return Heard(
            e2el_s=times[-1] if streamed and fault is None else at_s,
            ttft_s=times[0] if streamed else None,
            tpot_s=(times[-1] - times[0]) / (tokens - 1) if streamed and tokens and tokens > 1 else None,
            prompt_tokens=answer.prompt_tokens,
            output_tokens=tokens,
            fault=fault,
        )

    def broken(self, failure: Failure, detail: str, at_s: float) -> Heard:
        """It did not come to an end."""
        return self._failed(at_s, Fault(failure, detail))

    def _failed(self, at_s: float, fault: Fault) -> Heard:
        return Heard(at_s, None, None, None, None, fault)

    def _generated(self, at_s: float) -> Heard:
        body = b"".join(self._pieces)
        try:
            told = msgspec.json.decode(body, type=_Generated)
        except msgspec.DecodeError as error:
            return self._failed(at_s, Fault(Failure.MALFORMED, f"{error}: {quoted(body)}"))
        fault = self._miscounted(told.prompt_tokens)
        asked, made = self._request.output_len, told.output_tokens
        if made is not None and made != asked and self._request.exact:
            fault = Fault(Failure.WRONG_LENGTH, f"{made} tokens; {asked} were asked for")
        return Heard(at_s, None, None, told.prompt_tokens, made, fault)

    def _miscounted(self, counted: int | None) -> Fault | None:
        sent = self._request.prompt_len
        if sent and counted is not None and counted != sent:
            return Fault(Failure.WRONG_LENGTH, f"{counted} prompt tokens; {sent} were sent")
        return None


def _failure_of(status: int) -> Failure:
    if status == 429:
        return Failure.HTTP_429
    return Failure.HTTP_5XX if status >= 500 else Failure.HTTP_4XX
