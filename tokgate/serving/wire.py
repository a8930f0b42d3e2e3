"""A request as the bytes that go to the server. Pure."""

from __future__ import annotations

import re

from tokgate.errors import InputError
from tokgate.serving.request import Request, Target

_DEFAULT_PORTS = {"http": 80, "https": 443}
_OWN = frozenset({"content-length", "transfer-encoding", "connection", "expect", "accept-encoding"})
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\s]")


def request_head(target: Target, stream: bool) -> bytes:
    """The head of every request to `target` but for its last header, the length of the body.

    Answers are asked for as they are: unpacking them would delay what is timed, and to a server that is not told, any
    packing is as good (RFC 9110, 12.5.3). A given Host replaces ours, as one behind a forwarded port needs. Raises
    InputError for headers or a path that cannot be sent.
    """
    if not target.path.startswith("/") or not target.path.isascii() or _UNPRINTABLE.search(target.path):
        raise InputError(f"path {target.path!r}: expected a slash and printable ASCII after it, blanks percent-encoded")
    lines = [f"POST {target.path} HTTP/1.1"]
    given = {name.lower() for name, _ in target.headers}
    defaults = {
        "Host": _host(target),
        "Content-Type": "application/json",
        "Accept": "text/event-stream" if stream else "application/json",
        "User-Agent": "tokgate",
        "Accept-Encoding": "identity",
    }
    lines += [f"{name}: {value}" for name, value in defaults.items() if name.lower() not in given]
    lines += [_header(name, value) for name, value in target.headers]
    return "\r\n".join(lines).encode("latin-1")


def request_bytes(head: bytes, request: Request) -> bytes:
    return b"%s\r\nContent-Length: %d\r\n\r\n%s" % (head, len(request.body), request.body)


def _host(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == _DEFAULT_PORTS[target.scheme] else f"{host}:{target.port}"


def _header(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(f"header {name!r}: expected a name of letters, digits and hyphens")
    if name.lower() in _OWN:
        raise InputError(f"header {name}: the client sets it itself; leave it out")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise InputError(f"header {name}: its value has characters beyond Latin-1, which HTTP cannot carry") from None
    if any(character in value for character in "\r\n\0"):
        raise InputError(f"header {name}: its value has a line break")
    return f"{name}: {value}"
