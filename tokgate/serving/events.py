"""Server-sent events out of bytes that may be split and merged anywhere. Pure.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream; only `data` matters here, so
names, ids and comments are passed over.
"""

from __future__ import annotations

from tokgate.errors import TokgateError

_BOM = b"\xef\xbb\xbf"
_LONGEST = 16 << 20
_QUOTED = 200
# A comment has no name. Other names are to be passed over too, but are in truth somebody else's words in the stream.
_PASSED_OVER = (b"", b"event", b"id", b"retry")


class EventError(TokgateError):
    """Bytes that are no event stream, or an event that never ends."""


class EventSplitter:
    """Takes the bytes of one stream as they come, and gives the data of the events that they complete.

    `is_between`: whether all events that have begun are complete, and an event may begin with the next byte.
    """

    __slots__ = ("_at_start", "_data", "_half_line", "_held", "_skip_lf", "is_between")

    def __init__(self) -> None:
        self._half_line: list[bytes] = []
        self._held = 0
        self._data: list[bytes] = []
        self._at_start = True
        self._skip_lf = False
        self.is_between = True

    def feed(self, piece: bytes) -> list[bytes]:
        """Raises EventError for what is no field of an event, and beyond 16 MiB of one event."""
        if self._skip_lf and piece:
            self._skip_lf = False
            piece = piece.removeprefix(b"\n")
        if b"\n" not in piece and b"\r" not in piece:
            self._hold(self._half_line, piece)
            self.is_between = not (self._half_line or self._data)
            return []
        lines = b"".join([*self._half_line, piece]).splitlines(keepends=True)
        self._held -= sum(map(len, self._half_line))
        self._half_line = []
        self._skip_lf = lines[-1].endswith(b"\r")
        if not lines[-1].endswith((b"\n", b"\r")):
            self._hold(self._half_line, lines.pop())
        events = [self._take_line(line.rstrip(b"\r\n")) for line in lines]
        self.is_between = not (self._half_line or self._data or self._skip_lf)
        return [event for event in events if event is not None]

    def close(self) -> list[bytes]:
        """The event that the stream ended in, if any: some servers leave out the last empty line."""
        return self.feed(b"\n\n") if self._half_line or self._data else []

    def _take_line(self, line: bytes) -> bytes | None:
        """The event that this line ends, if it ends one."""
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._take_event() if self._data else None
        name, _, value = line.partition(b":")
        if name == b"data":
            self._hold(self._data, value.removeprefix(b" "))
        elif name not in _PASSED_OVER:
            raise EventError(f"a line {line[:_QUOTED]!r}; expected fields of an event stream (data: ...)")
        return None

    def _take_event(self) -> bytes:
        self._held -= sum(map(len, self._data))
        event = b"\n".join(self._data)
        self._data = []
        return event

    def _hold(self, where: list[bytes], part: bytes) -> None:
        if part or where is self._data:
            where.append(part)
        self._held += len(part)
        if self._held > _LONGEST:
            raise EventError(
                f"an event of more than {_LONGEST >> 20} MiB: expected one streamed message; is this an event stream?"
            )
