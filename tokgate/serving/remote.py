"""A server that is there already, anywhere: an OpenAI-compatible URL, and the name of its model."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tokgate.errors import InputError
from tokgate.serving.request import Target
from tokgate.serving.web import opened

_ANSWER_S = 15.0
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Remote:
    """`base_url` as users give it, with or without /v1; `key_env` names the variable that holds the key, if any."""

    base_url: str
    model: str
    key_env: str = ""


def target_of(base_url: str, path: str, key_env: str, environ: Mapping[str, str]) -> Target:
    """Where requests to `path` (as "/v1/completions") go. Raises InputError for what is no URL, or an empty key."""
    parts = urlsplit(base_url if "//" in base_url else f"//{base_url}")
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        port = None
    if parts.username or parts.password:
        raise InputError(
            "a URL with a user or a password in it is recorded as it is: give a key with --perf-api-key-env"
        )
    if parts.scheme not in _PORTS or not parts.hostname or port is None or parts.query or parts.fragment:
        raise InputError(f"{base_url!r} is no base URL; expected one such as https://host.example or http://host:8000")
    prefix = parts.path.rstrip("/").removesuffix("/v1")
    return Target(parts.scheme, parts.hostname, port, f"{prefix}{path}", _headers(key_env, environ))  # type: ignore[arg-type]  # _PORTS has the Literal's two


@dataclass(frozen=True)
class RemoteOptions:
    """What a command line says of a server that is there: `model` None asks the server for it."""

    base_url: str
    model: str | None = None
    key_env: str | None = None


def find_remote(options: RemoteOptions, environ: Mapping[str, str]) -> Remote:
    """The server at a URL; asked for its model unless it is named. Raises InputError where it cannot be used."""
    target = target_of(options.base_url, "/v1/models", options.key_env or "", environ)
    return Remote(options.base_url, options.model or _only_model(target), options.key_env or "")


def _headers(key_env: str, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    if not key_env:
        return ()
    if not environ.get(key_env):
        raise InputError(f"--perf-api-key-env {key_env}: there is no such variable, or it is empty")
    return (("Authorization", f"Bearer {environ[key_env]}"),)


def _only_model(target: Target) -> str:
    try:
        with opened(target.url, _ANSWER_S, headers=dict(target.headers)) as answer:
            names = [str(model["id"]) for model in json.load(answer)["data"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, urllib.error.URLError) and isinstance(error.reason, ConnectionRefusedError):
            raise InputError(f"{target.url}: nothing listens there; start the server, or correct the URL") from None
        why = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
        raise InputError(f"{target.url} gave no list of models ({why}); name the model: --perf-served-model") from None
    if len(names) != 1:
        served = ", ".join(names) or "none"
        raise InputError(f"{target.url} serves {served}; name the one to measure: --perf-served-model")
    return names[0]
