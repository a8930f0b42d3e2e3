"""One connection: reads requests with httptools, hands them to the site, and writes what the player says."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from typing import cast
from urllib.parse import urlsplit

import httptools

from tokgate.stub import wire
from tokgate.stub.asked import PATHS
from tokgate.stub.player import Answer
from tokgate.stub.script import After
from tokgate.stub.site import Site
from tokgate.stub.truth import Record, Truth

# SO_LINGER on, for 0 seconds: closing sends RST.
_RESET = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """Requests one after another; a client that sends a second one before its answer has come is cut off."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._parser = httptools.HttpRequestParser(self)
        self._answer: Answer | None = None
        self._is_busy = False
        self._read_s = 0.0
        self._url = b""
        self._body: list[bytes] = []
        self._keep_alive = True

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._fd = self._socket.fileno()

    def data_received(self, data: bytes) -> None:
        self._read_s = time.perf_counter()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._transport.close()
        except httptools.HttpParserError:
            self._transport.write(wire.response(b"Invalid HTTP request received.", 400, "text/plain"))
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.record.client_gone_s = time.perf_counter()
            self._site.player.leave(answer)

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._url, self._body = b"", []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"expect" and value.lower() == b"100-continue":
            self._transport.write(wire.CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._is_busy or self._transport.is_closing():
            self._transport.abort()
            return
        self._keep_alive = self._parser.should_keep_alive()
        method = self._parser.get_method()
        parts = urlsplit(self._url)
        is_chat = PATHS.get(parts.path)
        if is_chat is None or method != b"POST":
            self._transport.write(self._site.page(method, parts.path, parts.query))
            self._end(After.DONE)
            return
        truth = self._site.truth
        record = truth.arrive(parts.path.decode(), self._read_s)
        self._is_busy = True
        # First all that has come is read: of 200 requests at once the last would seem to arrive 20 ms late.
        self._site.inbox.put(lambda: self._respond(record, truth, is_chat))

    def _respond(self, record: Record, truth: Truth, is_chat: bool) -> None:
        if self._transport.is_closing():
            record.client_gone_s = time.perf_counter()
            truth.leave()
            return
        script = self._site.script(record, b"".join(self._body), is_chat)
        self._answer = Answer(script, record, truth, self._send, self._end)
        self._site.player.begin(self._answer)

    # What the player calls.

    def _send(self, data: bytes) -> bool:
        """Straight to the socket: uvloop's own write waits for the end of the loop's turn, and the truth would lie."""
        size = self._site.settings.split_bytes
        if not size:
            return self._send_piece(data)
        pieces_taken = [self._send_piece(data[at : at + size]) for at in range(0, len(data), size)]
        return all(pieces_taken)

    def _send_piece(self, data: bytes) -> bool:
        if not self._transport.get_write_buffer_size():
            try:
                sent = os.write(self._fd, data)
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                # A client that has gone is reported by connection_lost.
                sent = 0
            if sent == len(data):
                return True
            data = data[sent:]
        self._transport.write(data)
        return False

    def _end(self, after: After) -> None:
        self._answer, self._is_busy = None, False
        if after is After.RESET:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()
        elif after is After.CLOSE or not self._keep_alive:
            self._transport.close()
