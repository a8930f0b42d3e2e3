"""The error that came first, out of a child's log. Pure, standard library alone.

vLLM's own error says 'See root cause above': the cause is in the log of another of its processes.
"""

from __future__ import annotations

import re

from tokgate.besides import BESIDES

# '(EngineCore pid=7) ERROR 11-21 18:14:56 [core.py:1510] ', as vLLM begins its lines; of prints the first part alone.
_PREFIX = re.compile(r"(?:\([^()]*pid=\d+\) ?)?(?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?)?")
_TRACEBACK = "Traceback (most recent call last):"
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)\b.*")
_MOST_CHARACTERS = 600


def first_exception(log: str) -> str | None:
    """The exception that ends the first traceback, its type and the first line of its message; None without any."""
    inside = False
    for line in log.splitlines():
        text = line[_PREFIX.match(line).end() :]  # type: ignore[union-attr]  # all of it is optional, so it matches
        if text.startswith(_TRACEBACK):
            inside = True
        elif inside and text and not text[0].isspace():
            if _EXCEPTION.fullmatch(text):
                return text[:_MOST_CHARACTERS]
            inside = False
    return None


def with_cause(message: str, log: str) -> str:
    """`message` and the first exception of the log, where the message is not that one itself."""
    cause = first_exception(log)
    if cause is None or cause in message or message in cause or _bare(cause) in message:
        return message
    return f"{message}; the first error in its log: {cause}"


def _bare(exception: str) -> str:
    """As who raised it says it: without the module of its type, as tracebacks have it."""
    kind, colon, text = exception.partition(":")
    return f"{kind.rpartition('.')[2]}{colon}{text}"


def in_a_line(why: str) -> str:
    """An error of several lines in one: what happened, the first exception of its log, else its last words, and what
    happened besides."""
    lines = [line for line in why.splitlines() if line.strip() and not line.startswith("(all of it: ")]
    besides = "".join(f"; {line}" for line in lines if line.startswith(BESIDES))
    head, *log = [line for line in lines if not line.startswith(BESIDES)] or [""]
    if not log:
        return f"{head}{besides}"
    cause = first_exception("\n".join(log)) or log[-1].strip()
    return f"{head.partition('; its log')[0].removesuffix(':')}: {cause[:_MOST_CHARACTERS]}{besides}"
