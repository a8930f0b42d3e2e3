"""Text of a session as GitHub's Markdown and workflow commands, whatever the text holds.

A session is a file from elsewhere: its ids and reasons may hold anything. What they hold must not end a table's cell
or a fence, call a person (@name), close an issue (#12), or speak to the runner (a line that begins with ::).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

# Markdown reads these inside <code> too; as entities they are only what they look like.
_MARKUP = {ord(character): f"&#{ord(character)};" for character in "|`*_[]()\\~#@!$:{}"}
_LONGEST_CELL = 300
FENCE_OF = "text"
_FENCE = re.compile(rf"`{{3,}}{FENCE_OF}")


def code(text: object) -> str:
    """`text` on one line in code's type, where GitHub looks for neither names nor issues."""
    shown = html.escape(_printable(_shortened(str(text))), quote=False).translate(_MARKUP)
    return f"<code>{shown}</code>" if shown.strip() else ""


def fence(lines: Iterable[str]) -> list[str]:
    """`lines` as they are, behind a fence longer than any that they hold; nothing for no lines."""
    text = [_printable(line) for whole in lines for line in whole.splitlines()]
    if not text:
        return []
    longest = max((len(run) for line in text for run in re.findall(r"`+", line)), default=0)
    bar = "`" * max(3, longest + 1)
    return [f"{bar}{FENCE_OF}", *text, bar]


def is_fence(line: str) -> bool:
    """Whether `line` opens a fence of `fence`, where none is open."""
    return bool(_FENCE.fullmatch(line))


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table; its cells are Markdown already. Nothing for no rows."""
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}", *lines] if lines else []


def command(name: str, title: str, message: str) -> str:
    """A workflow command, as `::error title=...::message`.

    Escaped as actions/toolkit does (packages/core/src/command.ts): % CR LF everywhere, in a property : and , too.
    """
    heading = _escaped(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{name} title={heading}::{_escaped(message)}"


def _escaped(text: str) -> str:
    lines = [_printable(line) for line in text.splitlines()]
    return "%0A".join(line.replace("%", "%25") for line in lines)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"


def _printable(text: str) -> str:
    """Without line ends, escape sequences and marks that turn the reading direction."""
    return "".join(character if character.isprintable() else " " for character in text)
