"""What is written for a request, when, and what becomes of the connection: schedule and fault in one. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from tokgate.stub import messages, wire
from tokgate.stub.faults import INSTEAD, MID_STREAM, STATUSES, Fault
from tokgate.stub.messages import Messages
from tokgate.stub.schedule import Due, Pace


class After(enum.Enum):
    """What follows a write."""

    GO_ON = enum.auto()
    DONE = enum.auto()
    CLOSE = enum.auto()
    RESET = enum.auto()
    HANG = enum.auto()


# Put between two messages.
_INSERTED = {
    "bad-json": wire.chunk(b'data: {"id": "cmpl-\n\n'),
    "bad-utf8": wire.chunk(b'data: {"id": "\xff\xfe\xc3"}\n\n'),
    "bad-line": wire.chunk(b"upstream connect error or disconnect\n\n"),
    "comment": wire.chunk(b": keep-alive\n\n"),
}
_AFTER_ALL = {"no-done": After.CLOSE}


class Step(NamedTuple):
    """One write: seconds after the answer began, its bytes, the tokens in them."""

    offset_s: float
    data: bytes
    tokens: int = 0
    after: After = After.GO_ON


@dataclass(frozen=True)
class Script:
    """`head` is written when the request arrives, the steps count from when it has its place in the queue.

    Where `waits` is false the request needs no place: it is turned away at the door. `fault` is what is played.
    """

    head: bytes
    steps: Iterator[Step]
    waits: bool = True
    fault: Fault | None = None


def refusal(message: str, status: int, retry_after_s: int | None = None) -> Script:
    """A response that is an error, at once."""
    phrase = HTTPStatus(status).phrase
    headers = [] if retry_after_s is None else [("retry-after", str(retry_after_s))]
    body = messages.error(message, f"{phrase.title().replace(' ', '')}Error", status)
    answer = wire.response(body, status, headers=headers)
    return Script(b"", iter([Step(0.0, answer, after=After.DONE)]), waits=False)


def write_script(request: int, texts: Messages, pace: Pace, fault: Fault | None, merge: int = 1) -> Script:
    """The script of request number `request`. `merge`: messages in one write, which is due with the last of them.

    A fault in mid-stream is not played where no stream was asked for.
    """
    if fault is not None and fault.kind in STATUSES:
        refused = refusal("a fault of the stub server, as asked for", int(fault.kind), fault.value)
        return Script(b"", refused.steps, waits=False, fault=fault)
    if fault is not None and fault.kind in INSTEAD:
        return Script(b"", iter([_instead(fault.kind)]), waits=False, fault=fault)
    if not texts.asked.stream:
        return Script(b"", iter([_whole(request, texts, pace)]))
    labelled = fault is not None and fault.kind == "content-type"
    head = wire.stream_head("application/octet-stream" if labelled else wire.EVENT_STREAM)
    tokens = texts.asked.tokens
    if fault is not None and fault.kind == "short":
        tokens = max(1, fault_token(fault, tokens))
    steps = _Stream(texts, fault, tokens).steps(pace.dues(request, tokens))
    return Script(head, merged(steps, merge) if merge > 1 else steps, fault=fault)


def merged(steps: Iterator[Step], count: int) -> Iterator[Step]:
    """Every `count` steps as one, and what is left at an end."""
    data, tokens, held = b"", 0, 0
    for step in steps:
        data, tokens, held = data + step.data, tokens + step.tokens, held + 1
        if held == count or step.after is not After.GO_ON:
            yield Step(step.offset_s, data, tokens, step.after)
            data, tokens, held = b"", 0, 0


def _instead(kind: str) -> Step:
    if kind == "html":
        page = b"<!DOCTYPE html><html><body>Log in to go on.</body></html>"
        return Step(0.0, wire.response(page, content_type="text/html"), after=After.DONE)
    data = b"\x16\x03\x01 this is no HTTP \xff\xfe\r\n\r\n" if kind == "http-garbage" else b""
    after = {"reset": After.RESET, "no-headers": After.HANG}.get(kind, After.CLOSE)
    return Step(0.0, data, after=after)


def _whole(request: int, texts: Messages, pace: Pace) -> Step:
    tokens = texts.asked.tokens
    *_, last = pace.dues(request, tokens)
    return Step(last.offset_s, wire.response(texts.whole(tokens)), tokens, After.DONE)


class _Stream:
    """The steps of one streamed answer of `tokens` tokens."""

    def __init__(self, texts: Messages, fault: Fault | None, tokens: int) -> None:
        self._texts = texts
        self._kind = fault.kind if fault else ""
        self._tokens = tokens
        self._fault_at = fault_token(fault, tokens)
        self._common = b""

    def steps(self, dues: Iterator[Due]) -> Iterator[Step]:
        before = _chunk(self._texts.role()) if self._texts.asked.is_chat else b""
        inserted = _INSERTED.get(self._kind, b"")
        ending = self._ending()
        for due in dues:
            reached = due.total - due.tokens >= self._fault_at
            if reached and ending:
                yield Step(due.offset_s, before + ending[0], after=ending[1])
                return
            if reached and inserted:
                before, inserted = before + inserted, inserted if self._kind == "comment" else b""
            tokens = 0 if self._kind == "empty-choices" else due.tokens
            data = before + self._message(due)
            before = b""
            if due.total < self._tokens or ending:
                yield Step(due.offset_s, data, tokens)
            else:
                yield Step(due.offset_s, data + self._end(), tokens, _AFTER_ALL.get(self._kind, After.DONE))
        if ending:
            # No token is left that it could come in place of.
            yield Step(due.offset_s, ending[0], after=ending[1])

    def _message(self, due: Due) -> bytes:
        """All but the last are the same where they bring as much and tell no usage."""
        texts = self._texts
        if self._kind == "empty-choices":
            return _chunk(texts.empty(0))
        if due.total == self._tokens:
            reason = "stop" if self._tokens < texts.asked.tokens else "length"
            return _chunk(texts.tokens(due.tokens, due.total, reason))
        if texts.asked.continuous_usage:
            return _chunk(texts.tokens(due.tokens, due.total))
        if not self._common:
            self._common = _chunk(texts.tokens(due.tokens, due.total))
        return self._common

    def _end(self) -> bytes:
        """What follows the last token in the same write."""
        data = b""
        if self._texts.asked.usage and self._kind != "no-usage":
            data = _chunk(self._texts.usage(self._tokens + (self._kind == "wrong-usage")))
        if self._kind != "no-done":
            data += _chunk(b"[DONE]")
        return data + wire.LAST_CHUNK

    def _ending(self) -> tuple[bytes, After] | None:
        """How a fault in mid-stream ends the answer; None for those that do not."""
        wrong = "a fault of the stub server, as asked for", "InternalServerError", 500
        next_message = _chunk(self._texts.tokens(1, 1))
        return {
            "reset-mid-stream": (b"", After.RESET),
            "cut": (next_message[: len(next_message) // 2], After.CLOSE),
            "end-early": (wire.LAST_CHUNK, After.CLOSE),
            "stall": (b"", After.HANG),
            "error-message": (_chunk(messages.error(*wrong)) + _chunk(b"[DONE]") + wire.LAST_CHUNK, After.DONE),
            "error-object": (_chunk(messages.error_object(*wrong)) + _chunk(b"[DONE]") + wire.LAST_CHUNK, After.DONE),
            "bad-chunk": (b"zz\r\n" + next_message, After.CLOSE),
        }.get(self._kind)


def fault_token(fault: Fault | None, tokens: int) -> int:
    """How many of `tokens` tokens are sent before a fault in mid-stream; 0 for one that is there throughout."""
    if fault is None or fault.kind not in MID_STREAM:
        return 0
    if fault.value is None:
        return tokens // 2
    # What is put between two messages comes before the last one at the latest.
    return min(fault.value, tokens - 1 if fault.kind in _INSERTED else tokens)


def _chunk(data: bytes) -> bytes:
    return wire.chunk(wire.event(data))
