"""From a page's blocks to one HTML file: everything inlined, nothing fetched, and text that cannot become markup.

What comes from session files reaches the file in two ways: through Jinja with autoescaping, and as packed JSON, which
page.js writes with textContent. The Content-Security-Policy lets the two scripts run that stand here, by their hashes,
and lets nothing be fetched, should either have a hole.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import math
from importlib.resources import files
from typing import Any

import msgspec
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from tokgate.gate.verdict import Verdict
from tokgate.report.html.blocks import Page
from tokgate.report.html.figures.base import MARKS

_DIGITS = 6


def render(page: Page) -> str:
    """The file's text."""
    scripts = _scripts()
    return _template().render(
        page=page,
        policy=_policy(scripts),
        style=Markup(_asset("style.css")),
        scripts=[Markup(script) for script in scripts],
        data=[_packed(part.sections) for part in page.parts],
        details=_packed(page.details),
        signs={str(verdict): mark.sign for verdict, mark in MARKS.items()},
        tone=_tone,
    )


@functools.cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("page.html"))


@functools.cache
def _scripts() -> tuple[str, ...]:
    return _asset("plotly-basic.min.js"), _asset("page.js")


def _tone(verdict: str) -> str:
    """A verdict as a class of the style sheet."""
    return verdict.lower() if verdict in list(Verdict) else "inconclusive"


def _packed(value: Any) -> Markup:
    """JSON as base64 of gzip, a twentieth of its size: hover texts repeat. Letters, digits and `+/=` alone."""
    text = msgspec.json.encode(_rounded(msgspec.to_builtins(value)))
    # Without a time in its header, the same sessions give the same file.
    return Markup(base64.b64encode(gzip.compress(text, compresslevel=6, mtime=0)).decode())


def _rounded(value: Any) -> Any:
    """Figures with as many digits as anyone can see: it halves the file."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value


@functools.cache
def _policy(scripts: tuple[str, ...]) -> str:
    """Plotly writes styles of its own, and its pictures are saved through data: and blob: addresses."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )


def _asset(name: str) -> str:
    return files("tokgate.report.html").joinpath("assets", name).read_text(encoding="utf-8")
