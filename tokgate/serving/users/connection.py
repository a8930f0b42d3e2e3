"""One user's connection, on gevent: kept open between requests, and nothing sent twice.

Locust's own fast client sends a POST again when its connection ended without an answer (geventhttpclient before 2.6):
a server that was killed is then not seen. Its parser is used here, over a socket of our own.
"""

from __future__ import annotations

import contextlib
import functools
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gevent
import gevent.select
import gevent.socket
import gevent.ssl
from geventhttpclient.response import HTTPParseError, HTTPResponse

from tokgate.serving.record import Failure
from tokgate.serving.request import Request, Target
from tokgate.serving.tls import trusting
from tokgate.serving.users.hearing import Heard, Hearing

_BLOCK = 1 << 16


class _Parser(HTTPResponse):  # type: ignore[misc]  # untyped base
    """Hands over each piece of the body as it is parsed."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        super().__init__("POST")
        self._take = take

    def _on_body(self, piece: bytearray) -> None:
        self._take(bytes(piece))


@functools.cache
def _context() -> Any:
    """One for all users, made when the first needs it: reading the certificates takes longer than a request."""
    return trusting(gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


class UserConnection:
    """`timeout_s`: how long a whole request may take."""

    def __init__(self, target: Target, api: str, timeout_s: float) -> None:
        self._target = target
        self._api = api
        self._timeout_s = timeout_s
        self._socket: Any = None
        self._sent_s = 0.0
        host = target.host if ":" not in target.host else f"[{target.host}]"
        lines = [f"POST {target.path} HTTP/1.1", f"Host: {host}:{target.port}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in target.headers]
        self._head = "\r\n".join(lines).encode("latin-1")

    def ask(self, request: Request) -> Heard:
        """Sends it and waits for all of the answer. Whatever goes wrong with it is in what is returned.

        The first request connects, and so does one that finds its connection closed by the server since the last: that
        counts towards `timeout_s` and is told beside its times, which begin when it is written. Later than that there
        is no reconnecting: what was written is not sent again, and a connection that is lost is a failure.
        """
        began_s = self._sent_s = time.perf_counter()
        return replace(self._answer(request), connected_s=self._sent_s - began_s)

    def _answer(self, request: Request) -> Heard:
        hearing, now_s = Hearing(request, self._api), self._now_s
        status = 0
        try:
            with gevent.Timeout(self._timeout_s):
                if not self._is_connected():
                    self._connect()
                status = self._exchange(request, hearing)
        except gevent.Timeout:
            self.close()
            return hearing.broken(Failure.TIMEOUT, f"no whole answer within {self._timeout_s:g} s", now_s())
        except ConnectionRefusedError as error:
            self.close()
            return hearing.broken(Failure.REFUSED, str(error), now_s())
        except (OSError, HTTPParseError) as error:
            self.close()
            return hearing.broken(Failure.RESET, f"{type(error).__name__}: {error}", now_s())
        except BaseException:
            # The user was told to stop.
            self.close()
            raise
        return hearing.ended(status, now_s())

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def _now_s(self) -> float:
        return time.perf_counter() - self._sent_s

    def _exchange(self, request: Request, hearing: Hearing) -> int:
        arrived_s = 0.0
        parser = _Parser(lambda piece: hearing.take(piece, arrived_s))
        written = self._head + f"\r\nContent-Length: {len(request.body)}\r\n\r\n".encode() + request.body
        self._sent_s = time.perf_counter()
        self._socket.sendall(written)
        while not parser.message_complete:
            data = self._socket.recv(_BLOCK)
            arrived_s = self._now_s()
            if not data:
                self._socket.close()
                self._socket = None
                parser.feed(b"")
                if not parser.message_complete:
                    raise ConnectionResetError("the server closed the connection before the answer was whole")
                break
            parser.feed(data)
        if self._socket is not None and parser.should_close():
            self.close()
        return int(parser.get_code())

    def _is_connected(self) -> bool:
        """Whether there is a connection that the server has not closed meanwhile."""
        if self._socket is not None and gevent.select.select([self._socket], [], [], 0)[0]:
            self.close()
        return self._socket is not None

    def _connect(self) -> None:
        target = self._target
        connected = gevent.socket.create_connection((target.host, target.port), self._timeout_s)
        connected.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        connected.settimeout(None)
        if target.scheme == "https":
            connected = _context().wrap_socket(connected, server_hostname=target.host)
        self._socket = connected
