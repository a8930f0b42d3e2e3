"""Where a server is: its URL from the flags, the model it serves, and whether it answers."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from tokgate.errors import InputError, MeasurementError
from tokgate.serving.load import Load, LoadResult
from tokgate.serving.record import Failure
from tokgate.serving.request import Request, Target
from tokgate.serving.result_file import error_of
from tokgate.serving.tls import tls_context

_TIMEOUT_S = 10.0
_RETRY_S = 1.0
# What the server will say again, however long one waits.
_FINAL = (Failure.HTTP_4XX, Failure.MALFORMED, Failure.WRONG_LENGTH, Failure.NO_USAGE)


@dataclass(frozen=True)
class Model:
    """`name`: what requests call it; `root`: the hub's name or the folder it was loaded from."""

    name: str
    root: str


def target(base_url: str | None, host: str, port: int, path: str, headers: tuple[tuple[str, str], ...]) -> Target:
    """The endpoint at `path` below the base URL, or below http://host:port. Raises InputError for what is no URL."""
    url = f"{base_url.rstrip('/')}{path}" if base_url is not None else f"http://{_bracketed(host)}:{port}{path}"
    parts = urlsplit(url)
    try:
        number = parts.port
    except ValueError:
        number = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or number == -1 or not path.startswith("/"):
        raise InputError(
            f"--base-url and --endpoint make {url!r}; expected http://HOST:PORT/..., and an endpoint that begins with /"
        )
    secure = parts.scheme == "https"
    return Target(
        scheme="https" if secure else "http",
        host=parts.hostname,
        port=number or (443 if secure else 80),
        path=f"{parts.path}?{parts.query}" if parts.query else parts.path,
        headers=headers,
    )


def first_model(endpoint: Target) -> Model:
    """The first that /v1/models lists. Raises MeasurementError where the server does not say.

    Asked at the server's root, also where the base URL ends in /v1 as the guide's does.
    """
    listing = endpoint.beside("/v1/models")
    what = f"{listing.url}: {{}}; start the server, or name its model with --model"
    try:
        status, body = _get(listing)
        if status != 200:
            raise MeasurementError(what.format(f"HTTP {status}"))
        first = json.loads(body)["data"][0]
        return Model(first["id"], first.get("root") or first["id"])
    except (OSError, HTTPException) as error:
        raise MeasurementError(what.format(error)) from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise MeasurementError(what.format("no list of models there")) from None


def connect(endpoint: Target, timeout_s: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Opens a connection and closes it, trying for `timeout_s`. Raises MeasurementError where none can be had."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection((endpoint.host, endpoint.port), timeout=_TIMEOUT_S).close()
        except OSError as error:
            if time.monotonic() + _RETRY_S > deadline_s:
                raise MeasurementError(
                    f"no server at {endpoint.host}:{endpoint.port}"
                    f"{f' after {timeout_s:g} s' if timeout_s else ''} ({error}); start it"
                    f"{'' if timeout_s else ', or wait for it with --ready-check-timeout-sec 600'}"
                ) from None
            sleep(_RETRY_S)
        else:
            return


def wait_ready(
    endpoint: Target,
    request: Request,
    timeout_s: float,
    run_load: Callable[[Load], LoadResult],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Sends the request until it succeeds. Raises MeasurementError after `timeout_s`, or when waiting cannot help."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        left_s = max(deadline_s - time.monotonic(), _RETRY_S)
        (record,) = run_load(Load(endpoint, [request], timeout_s=left_s)).records
        if record.failure is None:
            return
        if record.failure is Failure.CANCELLED:
            raise KeyboardInterrupt
        final = record.failure in _FINAL
        if final or time.monotonic() + _RETRY_S > deadline_s:
            waited = "a first request failed" if final else f"not ready after {timeout_s:g} s; the last answer"
            raise MeasurementError(
                f"{endpoint.url}: {waited}: {error_of(record)}; see the server's log, and check --model and --endpoint"
            )
        sleep(_RETRY_S)


def _get(endpoint: Target) -> tuple[int, bytes]:
    connection = (
        HTTPSConnection(endpoint.host, endpoint.port, timeout=_TIMEOUT_S, context=tls_context("https"))
        if endpoint.scheme == "https"
        else HTTPConnection(endpoint.host, endpoint.port, timeout=_TIMEOUT_S)
    )
    try:
        connection.request("GET", endpoint.path, headers=dict(endpoint.headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
