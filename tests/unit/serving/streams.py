"""A streamed answer as vLLM 0.32 wrote it, byte by byte, and what it says."""

from __future__ import annotations

import asyncio
import socket

from tokgate.serving.answer import Answer
from tokgate.serving.connection import Connection
from tokgate.serving.record import RequestRecord
from tokgate.serving.request import Request
from tokgate.serving.rest import Rests

TEXT = "Grüße, 世界 🎉 \\n"
HEAD = (
    b"HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 10:00:00 GMT\r\nserver: uvicorn\r\n"
    b"content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"


def message(text: str, finish_reason: str = "null") -> bytes:
    return (
        '{"id":"cmpl-8a1","object":"text_completion","created":1795255200,"model":"qwen","choices":[{"index":0,'
        f'"text":"{text}","logprobs":null,"finish_reason":{finish_reason},"stop_reason":null,"token_ids":null}}]}}'
    ).encode()


def usage(tokens: int) -> bytes:
    counts = f'{{"prompt_tokens":5,"total_tokens":{5 + tokens},"completion_tokens":{tokens}}}'
    return f'{{"id":"cmpl-8a1","object":"text_completion","choices":[],"usage":{counts}}}'.encode()


# Three messages of text, which hold 1, 1 and 2 tokens.
DATA = [message(TEXT), message("é"), message("ß", '"length"'), usage(4), b"[DONE]"]
ASKED = Request(b"{}", 5, 4)


def event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


RESPONSE = HEAD + b"".join(chunk(event(data)) for data in DATA) + LAST_CHUNK


class _Transport:
    """Takes what is written, and holds a socket for its options."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False
        self._socket = socket.socket()

    def get_extra_info(self, name: str) -> object:
        # As of TLS, so that the connection writes through its transport.
        return self._socket if name == "socket" else object()

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True
        self._socket.close()


def exchanged(pieces: list[bytes], request: Request = ASKED, eof: bool = False) -> tuple[RequestRecord, bool]:
    """What a connection makes of an answer that comes in these pieces, and whether it can be used again."""
    return asyncio.run(exchange(pieces, request, eof))


async def exchange(pieces: list[bytes], request: Request = ASKED, eof: bool = False) -> tuple[RequestRecord, bool]:
    connection, transport = Connection(Rests()), _Transport()
    connection.connection_made(transport)
    answer = Answer(request, keep_text=True)
    ending = asyncio.ensure_future(connection.exchange(b"POST", answer, 60.0))
    await asyncio.sleep(0)
    assert transport.written == b"POST"
    for piece in pieces:
        if not transport.closed:
            connection.data_received(piece)
    if eof and not transport.closed:
        connection.connection_lost(None)
    fault = await ending
    usable = connection.usable
    transport.abort()
    record = RequestRecord(
        0,
        0.0,
        connection.sent_s,
        tuple(answer.message_s),
        answer.prompt_tokens,
        answer.output_tokens,
        fault.failure if fault else None,
        fault.detail if fault else "",
        answer.text,
    )
    return record, usable
