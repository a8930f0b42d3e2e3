"""What a server said to one request, out of its messages, and whether that is a success."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import msgspec

from tokgate.serving.events import EventSplitter
from tokgate.serving.record import Failure
from tokgate.serving.request import Request

DONE = b"[DONE]"
_QUOTED = 200


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None


class _Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    text: str | None = None
    delta: _Delta | None = None
    message: _Delta | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Message(msgspec.Struct, gc=False):
    """Of a message what counts; what else it holds is passed over without being built."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    object: str | None = None


# msgspec checks types as it decodes; a typed decoder took 0.9 us for a vLLM message, orjson.loads 2.1 us.
_decode = msgspec.json.Decoder(_Message).decode


@dataclass(frozen=True)
class Fault:
    """Why a request is no success."""

    failure: Failure
    detail: str = ""


class Answer:
    """Gathers the messages of one answer. `fault` is set as soon as one of them makes a success impossible."""

    __slots__ = (
        "_arrive",
        "_events",
        "_text",
        "done",
        "fault",
        "finished",
        "message_s",
        "output_tokens",
        "prompt_tokens",
        "request",
    )

    def __init__(self, request: Request, keep_text: bool) -> None:
        self.request = request
        self.message_s = array("d")
        self._arrive = self.message_s.append
        self._events = EventSplitter()
        self.prompt_tokens: int | None = None
        self.output_tokens: int | None = None
        self.done = False
        self.finished = False
        self.fault: Fault | None = None
        self._text: list[str] | None = [] if keep_text else None

    @property
    def text(self) -> str:
        return "".join(self._text or ())

    def feed(self, piece: bytes, arrived_s: float) -> None:
        """Bytes of an event stream. Raises EventError for what is none."""
        if piece[:6] == b"data: " and piece[-2:] == b"\n\n" and self._events.is_between:
            # Nearly every piece is one whole event: servers write event by event.
            data = piece[6:-2]
            if b"\n" not in data and b"\r" not in data:
                self.take(data, arrived_s)
                return
        for data in self._events.feed(piece):
            self.take(data, arrived_s)

    def close(self, arrived_s: float) -> None:
        """The event stream has ended."""
        for data in self._events.close():
            self.take(data, arrived_s)

    def take(self, data: bytes, arrived_s: float) -> None:
        """One message: the data of an event, or the whole of an answer that is not streamed."""
        try:
            if not data.isascii():
                # msgspec looks at no string that it passes over.
                data.decode()
            message = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._take_other(data, error)
            return
        choices = message.choices
        if choices:
            self._arrive(arrived_s)
            self.finished = choices[-1].finish_reason is not None
            if self._text is not None:
                self._text.append(_text(choices[0]))
        if message.usage is not None:
            self.prompt_tokens = message.usage.prompt_tokens
            self.output_tokens = message.usage.completion_tokens
        if message.error is not None or message.object == "error":
            self._fail(Failure.STREAM_ERROR, quoted(data))

    def verdict(self) -> Fault | None:
        """Of an answer that has ended: None for a success."""
        if self.fault is not None:
            return self.fault
        got, asked = self.output_tokens, self.request.output_len
        if not (self.done or self.finished):
            seen = f"{len(self.message_s)} messages, and neither [DONE] nor a finish_reason"
            return Fault(Failure.TRUNCATED, seen)
        if got is None:
            return Fault(Failure.NO_USAGE, "no message told the tokens: does the server heed stream_options?")
        if got != asked and self.request.exact:
            return Fault(Failure.WRONG_LENGTH, f"{got} tokens; {asked} were asked for")
        if not self.message_s:
            return Fault(Failure.TRUNCATED, f"no message with choices, though usage tells {got} tokens")
        return None

    def _take_other(self, data: bytes, error: Exception) -> None:
        if data.strip() == DONE:
            self.done = True
        else:
            self._fail(Failure.MALFORMED, f"{error}: {quoted(data)}")

    def _fail(self, failure: Failure, detail: str) -> None:
        if self.fault is None:
            self.fault = Fault(failure, detail)


def quoted(data: bytes) -> str:
    """The beginning of what a server sent, for a message: one line, with escapes (\\x03) for what is not printable."""
    decoded = data[: 4 * _QUOTED].decode("utf-8", "backslashreplace")
    # An answer must not steer the terminal, nor break the table that it is told in.
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in decoded)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}..."


def _text(choice: _Choice) -> str:
    said = choice.delta or choice.message
    return (said.content if said is not None else choice.text) or ""
