"""The socket that a server of this project listens on."""

from __future__ import annotations

import socket

from tokgate.errors import InputError

# 1,000 clients connect at once; the kernel cuts it to net.core.somaxconn.
BACKLOG = 4096


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises InputError where that is not to be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # Accepted connections have it from here; asyncio sets it on those of its own sockets alone.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise InputError(f"cannot listen on {host}:{port}: {error}; choose another --host or --port") from None


def url_of(listener: socket.socket) -> str:
    """Where clients reach it; without a slash at its end."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
