"""One persistent connection to the server, and one request after another on it."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from typing import cast

import httptools

from tokgate.serving.answer import Answer, Fault, quoted
from tokgate.serving.events import EventError
from tokgate.serving.record import Failure
from tokgate.serving.request import Target
from tokgate.serving.rest import Rests

_CONNECT_S = 10.0
# Of an answer that is no success so much is read, to quote from.
_KEPT_BYTES = 4096


class RefusedError(Exception):
    """No connection could be made."""


async def connect(target: Target, timeout_s: float, tls: ssl.SSLContext | None, rests: Rests) -> Connection:
    """Raises RefusedError; after 10 s at the latest."""
    limit_s = min(_CONNECT_S, timeout_s)
    loop = asyncio.get_running_loop()
    opening = loop.create_connection(lambda: Connection(rests), target.host, target.port, ssl=tls)
    try:
        _, connection = await asyncio.wait_for(opening, limit_s)
    except asyncio.TimeoutError:
        raise RefusedError(f"no connection to {target.host}:{target.port} within {limit_s:g} s") from None
    except OSError as error:
        raise RefusedError(f"no connection to {target.host}:{target.port}: {error}") from None
    return connection


class Connection(asyncio.Protocol):
    """Of each answer the arrival times of its messages are taken, before anything is parsed."""

    def __init__(self, rests: Rests) -> None:
        self._rests = rests
        self.idle_since_s = time.perf_counter()
        self.sent_s = 0.0
        self._transport: asyncio.Transport | None = None
        self._file = -1
        self._parser = httptools.HttpResponseParser(self)
        self._arrived_s = 0.0
        self._answer: Answer | None = None
        self._refusal: Fault | None = None
        self._ending: asyncio.Future[Fault | None] | None = None
        self._start_answer()

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, wire: bytes, answer: Answer, timeout_s: float) -> Fault | None:
        """Sends `wire` and waits for the answer to end; None for a success. `sent_s` is then when it was written.

        After most faults, and when cancelled, the connection is no longer usable.
        """
        loop = asyncio.get_running_loop()
        self._start_answer()
        self._answer = answer
        # Writing to a lost connection ends the exchange at once, before there is anybody to wait for it.
        ending: asyncio.Future[Fault | None] = loop.create_future()
        self._ending = ending
        deadline = loop.call_later(timeout_s, self._time_out, timeout_s)
        try:
            self._write(wire)
            return await ending
        finally:
            deadline.cancel()
            if self._answer is not None:
                self._end(None, usable=False)
            self._rests.hurries -= 1

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        held = transport.get_extra_info("socket")
        held.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if transport.get_extra_info("ssl_object") is None:
            self._file = held.fileno()

    def data_received(self, data: bytes) -> None:
        self._arrived_s = now_s = time.perf_counter()
        if not self._rests.in_turn:
            self._rests.begin(now_s)
        if self._answer is None:
            # Nobody asked for this.
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(Failure.MALFORMED, f"no HTTP: {str(error) or type(error).__name__}: {quoted(data)}")
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        answer = self._answer
        if answer is None:
            return
        if error is None and self._ends_with_connection:
            self._finish()
        elif answer.done:
            self._end(answer.verdict(), usable=False)
        elif self._refusal is not None:
            self._end(self._refused(), usable=False)
        elif error is None and self._status:
            self._fail(Failure.TRUNCATED, f"the server closed the connection after {len(answer.message_s)} messages")
        else:
            why = str(error) if error is not None else "closed by the server"
            self._fail(Failure.RESET, f"{why}, after {len(answer.message_s)} messages")

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._answer is None:
            # A second answer to one request.
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._answer is None or status < 200:
            return
        self._status = status
        self._refusal = self._refusal_by_head(self._answer.request.stream)
        self._streams = self._answer.request.stream and self._refusal is None
        framed = (
            b"content-length" in self._headers or b"chunked" in self._headers.get(b"transfer-encoding", b"").lower()
        )
        self._ends_with_connection = not framed

    def on_body(self, body: bytes) -> None:
        answer = self._answer
        if answer is None:
            return
        if not self._streams:
            self._body.append(body)
            self._kept += len(body)
            if self._refusal is not None and self._kept > _KEPT_BYTES:
                self._end(self._refused(), usable=False)
            return
        try:
            answer.feed(body, self._arrived_s)
        except EventError as error:
            self._fail(Failure.MALFORMED, str(error))
            return
        if answer.fault is not None:
            self._end(answer.fault, usable=False)

    def on_message_complete(self) -> None:
        if self._answer is not None and self._status:
            self._finish()
        else:
            # 1xx: the answer proper is still to come.
            self._headers.clear()

    # The rest.

    def _start_answer(self) -> None:
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._kept = 0
        self._streams = False
        self._refusal = None
        self._ends_with_connection = False

    def _write(self, wire: bytes) -> None:
        """Past the transport where it can be, which would write only at the end of the loop's turn."""
        written = 0
        self.sent_s = time.perf_counter()
        if self._transport is None or self._transport.is_closing():
            # Some servers accept and close at once: that may be heard of before who connected goes on.
            self._fail(Failure.RESET, "closed by the server before the request was sent")
            return
        if self._file >= 0 and self._transport.get_write_buffer_size() == 0:
            try:
                written = os.write(self._file, wire)
            except BlockingIOError:
                pass
            except OSError as error:
                self._fail(Failure.RESET, str(error))
                return
        if written < len(wire):
            self._transport.write(wire[written:])

    def _refusal_by_head(self, stream: bool) -> Fault | None:
        status = self._status
        content = self._headers.get(b"content-type", b"").decode("latin-1")
        expected = "text/event-stream" if stream else "application/json"
        if status == 429:
            wait = quoted(self._headers.get(b"retry-after", b"none"))
            return Fault(Failure.HTTP_429, f"HTTP 429, Retry-After: {wait}")
        if 400 <= status < 600:
            return Fault(Failure.HTTP_4XX if status < 500 else Failure.HTTP_5XX, f"HTTP {status}")
        if status != 200:
            return Fault(Failure.MALFORMED, f"HTTP {status}; expected 200 (redirects are not followed)")
        if not content.lower().startswith(expected):
            return Fault(Failure.MALFORMED, f"content type {content or 'none'!r}; expected {expected!r}")
        packing = self._headers.get(b"content-encoding", b"identity").decode("latin-1")
        if packing.lower() != "identity":
            return Fault(Failure.MALFORMED, f"content encoding {packing!r}, which was not asked for")
        return None

    def _refused(self) -> Fault:
        assert self._refusal is not None
        said = quoted(b"".join(self._body))
        return Fault(self._refusal.failure, f"{self._refusal.detail}: {said}" if said else self._refusal.detail)

    def _finish(self) -> None:
        """The answer has come to its end."""
        answer = self._answer
        assert answer is not None
        usable = not self._ends_with_connection and self._parser.should_keep_alive()
        if self._refusal is not None:
            self._end(self._refused(), usable)
            return
        if self._streams:
            answer.close(self._arrived_s)
        else:
            answer.take(b"".join(self._body), self._arrived_s)
            answer.done = True
        fault = answer.verdict()
        # After an answer that broke off, some servers close the connection without having said so.
        self._end(fault, usable and fault is None and answer.done)

    def _fail(self, failure: Failure, detail: str) -> None:
        if self._answer is not None:
            self._end(Fault(failure, detail), usable=False)

    def _time_out(self, timeout_s: float) -> None:
        answer = self._answer
        if answer is not None:
            self._fail(Failure.TIMEOUT, f"no end within {timeout_s:g} s of sending; {len(answer.message_s)} messages")

    def _end(self, fault: Fault | None, usable: bool) -> None:
        ending, self._answer, self._ending = self._ending, None, None
        # Until who waits for the answer has gone on: in a closed loop the next request is theirs to send.
        self._rests.hurries += 1
        self.idle_since_s = time.perf_counter()
        if not usable:
            self.close()
        if ending is not None and not ending.done():
            ending.set_result(fault)
