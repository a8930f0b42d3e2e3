"""What is written for a request, when, and what becomes of the connection: schedule and fault in one. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice

from tokgate.stub import messages, wire
from tokgate.stub.faults import INSTEAD, MID_STREAM, STATUSES, Fault
from tokgate.stub.messages import Messages
from tokgate.stub.schedule import Pace


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
# In place of the rest.
_ENDINGS = {
    "reset-mid-stream": After.RESET,
    "cut": After.CLOSE,
    "end-early": After.CLOSE,
    "stall": After.HANG,
    "error-message": After.DONE,
    "error-object": After.DONE,
    "bad-chunk": After.CLOSE,
}


@dataclass(frozen=True)
class Stretch:
    """The same write at each of `offsets_s`, seconds after the answer began: `data`, with `tokens` tokens in it.

    `after` is for the last of them.
    """

    offsets_s: Iterator[float]
    data: bytes
    tokens: int = 0
    after: After = After.GO_ON


@dataclass(frozen=True)
class Script:
    """`head` is written when the request arrives, the rest by its time from when it has its place in the queue.

    Where `waits` is false the request needs no place: it is turned away at the door. `fault` is what is played.
    """

    head: bytes
    stretches: Iterator[Stretch]
    waits: bool = True
    fault: Fault | None = None


def refusal(message: str, status: int, retry_after_s: int | None = None) -> Script:
    """A response that is an error, at once."""
    phrase = HTTPStatus(status).phrase
    headers = [] if retry_after_s is None else [("retry-after", str(retry_after_s))]
    body = messages.error(message, f"{phrase.title().replace(' ', '')}Error", status)
    answer = wire.response(body, status, headers=headers)
    return Script(b"", iter([_once(0.0, answer, After.DONE)]), waits=False)


def write_script(request: int, texts: Messages, pace: Pace, fault: Fault | None, merge: int = 1) -> Script:
    """The script of request number `request`. `merge`: messages in one write, which is due with the last of them.

    A fault in mid-stream is not played where no stream was asked for.
    """
    if fault is not None and fault.kind in STATUSES:
        refused = refusal("a fault of the stub server, as asked for", int(fault.kind), fault.value)
        return Script(b"", refused.stretches, waits=False, fault=fault)
    if fault is not None and fault.kind in INSTEAD:
        return Script(b"", iter([_instead(fault.kind)]), waits=False, fault=fault)
    if not texts.asked.stream:
        return Script(b"", iter([_whole(request, texts, pace)]))
    labelled = fault is not None and fault.kind == "content-type"
    head = wire.stream_head("application/octet-stream" if labelled else wire.EVENT_STREAM)
    tokens = texts.asked.tokens
    if fault is not None and fault.kind == "short":
        tokens = max(1, fault_token(fault, tokens))
    stretches = _Stream(texts, fault, tokens, pace, request).stretches()
    return Script(head, merged(stretches, merge) if merge > 1 else stretches, fault=fault)


def merged(stretches: Iterator[Stretch], count: int) -> Iterator[Stretch]:
    """Every `count` writes as one, due with the last of them, and what is left at an end."""
    data, tokens, held = b"", 0, 0
    for stretch in stretches:
        for offset_s in stretch.offsets_s:
            data, tokens, held = data + stretch.data, tokens + stretch.tokens, held + 1
            if held == count or stretch.after is not After.GO_ON:
                yield _once(offset_s, data, stretch.after, tokens)
                data, tokens, held = b"", 0, 0


def _once(offset_s: float, data: bytes, after: After = After.GO_ON, tokens: int = 0) -> Stretch:
    return Stretch(iter([offset_s]), data, tokens, after)


def _instead(kind: str) -> Stretch:
    if kind == "html":
        page = b"<!DOCTYPE html><html><body>Log in to go on.</body></html>"
        return _once(0.0, wire.response(page, content_type="text/html"), After.DONE)
    data = b"\x16\x03\x01 this is no HTTP \xff\xfe\r\n\r\n" if kind == "http-garbage" else b""
    return _once(0.0, data, {"reset": After.RESET, "no-headers": After.HANG}.get(kind, After.CLOSE))


def _whole(request: int, texts: Messages, pace: Pace) -> Stretch:
    tokens = texts.asked.tokens
    *_, last_s = pace.offsets_s(request, tokens)
    return _once(last_s, wire.response(texts.whole(tokens)), After.DONE, tokens)


class _Stream:
    """The writes of one streamed answer of `tokens` tokens."""

    def __init__(self, texts: Messages, fault: Fault | None, tokens: int, pace: Pace, request: int) -> None:
        self._texts = texts
        self._kind = fault.kind if fault else ""
        self._tokens = tokens
        self._per_message = pace.tokens_per_message
        self._messages = pace.messages(tokens)
        # The fault comes before this message, or in its place: there may be one more than there are tokens for.
        self._fault_at = pace.messages(fault_token(fault, tokens))
        more = self._per_message if self._fault_at == self._messages else 0
        self._offsets_s = pace.offsets_s(request, tokens + more)

    def stretches(self) -> Iterator[Stretch]:
        """Messages that are the same are one stretch; the first, the last and one with a fault stand alone."""
        ending = self._ending()
        end = self._fault_at if ending else self._messages
        every = self._texts.asked.continuous_usage
        alone = range(end) if every else sorted({0, self._fault_at, self._messages - 1} & set(range(end)))
        message = 0
        for stop in (*alone, end):
            if message < stop:
                yield self._stretch(message, stop - message)
            if stop < end:
                yield self._stretch(stop, 1)
            message = stop + 1
        if ending:
            yield _once(next(self._offsets_s), (b"" if end else self._role()) + ending[0], ending[1])

    def _stretch(self, message: int, count: int) -> Stretch:
        """`count` messages that are the same, from number `message` on."""
        offsets_s = islice(self._offsets_s, count)
        total = min((message + 1) * self._per_message, self._tokens)
        tokens = total - message * self._per_message
        is_last = total == self._tokens and not self._ending()
        data = self._before(message) + self._message(tokens, total, is_last)
        shown = 0 if self._kind == "empty-choices" else tokens
        if is_last:
            after = After.CLOSE if self._kind == "no-done" else After.DONE
            return Stretch(offsets_s, data + self._end(), shown, after)
        return Stretch(offsets_s, data, shown)

    def _role(self) -> bytes:
        return _chunk(self._texts.role()) if self._texts.asked.is_chat else b""

    def _before(self, message: int) -> bytes:
        data = b"" if message else self._role()
        if self._kind == "comment" or message == self._fault_at:
            data += _INSERTED.get(self._kind, b"")
        return data

    def _message(self, tokens: int, total: int, is_last: bool) -> bytes:
        if self._kind == "empty-choices":
            return _chunk(self._texts.empty(0))
        reason = "stop" if self._kind == "short" else "length"
        return _chunk(self._texts.tokens(tokens, total, reason if is_last else None))

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
        if self._kind not in _ENDINGS:
            return None
        return _ending_bytes(self._kind, self._texts), _ENDINGS[self._kind]


def _ending_bytes(kind: str, texts: Messages) -> bytes:
    wrong = "a fault of the stub server, as asked for", "InternalServerError", 500
    message = _chunk(texts.tokens(1, 1))
    if kind == "error-message":
        return _chunk(messages.error_event(*wrong)) + _chunk(b"[DONE]") + wire.LAST_CHUNK
    if kind == "error-object":
        return _chunk(messages.error_object(*wrong)) + _chunk(b"[DONE]") + wire.LAST_CHUNK
    return {
        "cut": message[: len(message) // 2],
        "end-early": wire.LAST_CHUNK,
        "bad-chunk": b"zz\r\n" + message,
    }.get(kind, b"")


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
