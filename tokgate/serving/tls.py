"""Whom the load clients trust: the system's certificates, and certifi's where it is installed."""

from __future__ import annotations

import contextlib
import ssl
from typing import TypeVar

Context = TypeVar("Context", bound=ssl.SSLContext)


def tls_context(scheme: str) -> ssl.SSLContext | None:
    """None for plain HTTP."""
    return None if scheme != "https" else trusting(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def trusting(context: Context) -> Context:
    """The same context, which by itself may trust nobody."""
    context.load_default_certs()
    with contextlib.suppress(ImportError):
        import certifi

        context.load_verify_locations(certifi.where())
    return context
