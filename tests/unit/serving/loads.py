"""Loads on servers of the tests' own."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from tokgate.serving.load import Load
from tokgate.serving.request import Request, Target

TOKENS = 8


def target(url: str, path: str = "/v1/completions") -> Target:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return Target("https" if parts.scheme == "https" else "http", parts.hostname, parts.port, path)


def request(tokens: int = TOKENS, stream: bool = True, chat: bool = False) -> Request:
    prompt = {"messages": [{"role": "user", "content": "a b c"}]} if chat else {"prompt": "a b c"}
    body = {"model": "m", **prompt, "max_tokens": tokens, "ignore_eos": True, "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    return Request(json.dumps(body).encode(), 3, tokens, stream=stream)


def load(url: str, count: int, **settings: object) -> Load:
    return Load(target(url), [request()] * count, **{"timeout_s": 30.0, **settings})


@contextlib.contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does `talk` with each connection, one after another, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    with peer, contextlib.suppress(OSError):
                        talk(peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10.0)
        assert not thread.is_alive()


@contextlib.contextmanager
def trickling_server(head: bytes, *, pieces: int = 150, every_s: float = 0.02) -> Iterator[str]:
    """A server that answers whatever is asked with `head`, and then "#" again and again: for 3 s, or until it is left.

    Where `head` ends inside the headers, it is those that never end.
    """
    left = threading.Event()

    def talk(peer: socket.socket) -> None:
        peer.recv(65536)
        peer.sendall(head)
        for _ in range(pieces):
            if left.wait(every_s):
                return
            peer.sendall(b"#")

    with raw_server(talk) as url:
        try:
            yield url
        finally:
            left.set()


def read_request(peer: socket.socket) -> bytes:
    """One whole request; empty where the client has gone."""
    read = b""
    while b"\r\n\r\n" not in read:
        piece = peer.recv(65536)
        if not piece:
            return b""
        read += piece
    head, _, body = read.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    assert length is not None
    while len(body) < int(length[1]):
        body += peer.recv(65536)
    return head + b"\r\n\r\n" + body
