"""Values as TOML, on one line: what tomllib reads back as it was. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def value(found: Any) -> str:
    """Raises TypeError for what is no text, number, truth value, list or table: TOML has no null."""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, str):
        # JSON leaves DEL as it is, and TOML refuses it.
        return json.dumps(found, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(found, int):
        return str(found)
    if isinstance(found, float):
        return repr(found) if math.isfinite(found) else str(found)
    if isinstance(found, Mapping):
        inside = ", ".join(f"{key(name)} = {value(item)}" for name, item in found.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(found, (list, tuple)):
        return f"[{', '.join(map(value, found))}]"
    raise TypeError(f"{found!r} has no place in TOML")


def key(name: str) -> str:
    return name if _BARE.fullmatch(name) else value(name)


def pairs(entries: Mapping[str, Any]) -> str:
    """As a command line gives them: `enforce_eager=true, max_num_seqs=8`."""
    return ", ".join(f"{key(name)}={value(item)}" for name, item in entries.items())


def table(heading: str, entries: Mapping[str, Any]) -> str:
    """`[heading]` and a line for each entry; `heading` "[group]" makes it one of a list of tables."""
    return "\n".join([f"[{heading}]", *(f"{key(name)} = {value(item)}" for name, item in entries.items()), ""])
