"""A stub server and clients of plain sockets in one loop: what really goes over the wire."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import uvloop

from tokgate.stub.faults import parse_faults
from tokgate.stub.schedule import Pace
from tokgate.stub.server import start
from tokgate.stub.settings import Settings

# Enough for a loaded machine; a test that waits this long has failed.
_PATIENCE_S = 20.0
INSTANT = Pace(ttft_s=0.0, itl_s=0.0)


@dataclass(frozen=True)
class Reply:
    """What a client received until the connection ended. `reset`: by RST."""

    raw: bytes
    reset: bool = False

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1])

    @property
    def head(self) -> str:
        return self.raw.partition(b"\r\n\r\n")[0].decode().lower()

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def ends_as_http(self) -> bool:
        """Whether the body has its last chunk."""
        return self.body.endswith(b"\r\n0\r\n\r\n") or self.body == b"0\r\n\r\n"

    @property
    def stream(self) -> bytes:
        """The body out of its chunks, as far as they are whole."""
        data, rest = b"", self.body
        while match := re.match(rb"([0-9a-f]+)\r\n", rest):
            size, begin = int(match[1], 16), match.end()
            data, rest = data + rest[begin : begin + size], rest[begin + size + 2 :]
        return data

    @property
    def events(self) -> list[bytes]:
        """What stands after `data: `, message by message."""
        return [line[6:] for line in self.stream.split(b"\n\n") if line.startswith(b"data: ")]

    @property
    def messages(self) -> list[Any]:
        """Events that are JSON objects of an answer, errors excluded."""
        found = [_decoded(event) for event in self.events]
        return [message for message in found if message and "choices" in message]

    @property
    def text(self) -> str:
        choices = [choice for message in self.messages for choice in message["choices"]]
        return "".join(c["text"] if "text" in c else c["delta"].get("content", "") for c in choices)

    @property
    def usage(self) -> Any:
        return next((m["usage"] for m in self.messages if not m["choices"] and "usage" in m), None)


def _decoded(event: bytes) -> Any:
    try:
        return json.loads(event)
    except ValueError:
        return None


class Wire:
    """Talks to one server, a connection for each call."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def ask(self, chat: bool = False, **body: Any) -> Reply:
        """A streamed request for 6 tokens with usage where `body` does not say otherwise, read to the end."""
        prompt = {"messages": [{"role": "user", "content": "two words"}]} if chat else {"prompt": [1, 2, 3]}
        options = {"max_tokens": 6, "stream": True, "stream_options": {"include_usage": True}}
        path = "/v1/chat/completions" if chat else "/v1/completions"
        return await self.send(request("POST", path, json.dumps({**prompt, **options, **body}).encode()))

    async def get(self, path: str, method: str = "GET") -> Reply:
        return await self.send(request(method, path))

    async def truth(self, full: bool = False) -> Any:
        return (await self.get("/truth?full=1" if full else "/truth")).json

    async def truth_when(self, met: Callable[[Any], bool]) -> Any:
        """The truth once it meets a condition."""
        while True:
            told = await self.truth()
            if met(told):
                return told

    async def send(self, data: bytes) -> Reply:
        reader, writer = await self.open(data)
        raw = b""
        try:
            while piece := await reader.read(1 << 16):
                raw += piece
        except ConnectionResetError:
            return Reply(raw, reset=True)
        finally:
            writer.close()
        return Reply(raw)

    async def open(self, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(data)
        return reader, writer


def request(method: str, path: str, body: bytes = b"", close: bool = True) -> bytes:
    kept = "close" if close else "keep-alive"
    head = f"{method} {path} HTTP/1.1\r\nhost: stub\r\nconnection: {kept}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def talk(scene: Callable[[Wire], Awaitable[Any]], *faults: str, pace: Pace = INSTANT, **settings: Any) -> Any:
    """Plays `scene` with a server of its own, and returns what it returns."""

    async def play() -> Any:
        listener = socket.create_server(("127.0.0.1", 0))
        server = await start(Settings(pace, parse_faults(faults), **settings), listener)
        try:
            return await asyncio.wait_for(scene(Wire(listener.getsockname()[1])), _PATIENCE_S)
        finally:
            server.close()

    return uvloop.run(play())
