"""Bytes of HTTP/1.1 and of event streams."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EVENT_STREAM = "text/event-stream; charset=utf-8"
JSON = "application/json"


def event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def stream_head(content_type: str = EVENT_STREAM, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """The head of a response of chunks."""
    return _head(200, [("content-type", content_type), ("transfer-encoding", "chunked"), *headers])


def response(
    body: bytes, status: int = 200, content_type: str = JSON, headers: Sequence[tuple[str, str]] = ()
) -> bytes:
    """A response that is sent at once."""
    return _head(status, [("content-type", content_type), ("content-length", str(len(body))), *headers]) + body


def _head(status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "server: tokgate-stub"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
