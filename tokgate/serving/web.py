"""What a server is asked beside the load: by the same way as the load, past every proxy, and by the same certificates.

Standard library, and certifi where it is installed.
"""

from __future__ import annotations

import urllib.request
from http.client import HTTPResponse
from typing import Any

from tokgate.serving.tls import tls_context


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The load clients follow none, and a key would go with it."""

    def redirect_request(self, *told: Any, **more: Any) -> None:
        return None


class Web:
    """Opens requests of one scheme, "http" or "https". Reading the certificates takes longer than a request: whoever
    asks again keeps it."""

    def __init__(self, scheme: str) -> None:
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls_context(scheme)), _NoRedirect
        )

    def open(self, request: urllib.request.Request, timeout_s: float) -> HTTPResponse:
        """The answer, to be closed. Raises OSError where there is none, or its status is no 2xx (HTTPError)."""
        answer: HTTPResponse = self._opener.open(request, timeout=timeout_s)
        return answer


def opened(
    url: str,
    timeout_s: float,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    method: str | None = None,
) -> HTTPResponse:
    """One request, a POST where it has a `body`; see Web.open."""
    request = urllib.request.Request(url, body, headers or {}, method=method)
    return Web(request.type).open(request, timeout_s)
