"""The text of a baseline file: sealed by a sha256, and laid out for a git diff: one launch list a line."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NoReturn

from tokgate.errors import InputError

# Version history of the baseline file:
#   1  the first: payload of machine, scenario and accepted sessions with launch values by metric
SCHEMA = 1

_REMEDY = "a baseline is written by tokgate accept alone: take it from git (git checkout), or remove it and accept anew"


def seal(payload: dict[str, Any]) -> bytes:
    """The file of a payload: schema, sha256 over the compact canonical payload, payload."""
    document = {"schema": SCHEMA, "sha256": digest(payload), "payload": payload}
    return (_render(document, 0) + "\n").encode()


def unseal(content: bytes, source: str) -> dict[str, Any]:
    """The payload of a file that `seal` wrote. Raises InputError naming `source` if it was changed."""
    try:
        document = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: not JSON ({error}); {_REMEDY}") from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if type(schema) is int and schema > SCHEMA:
        raise InputError(f"{source}: schema {schema}; this tokgate reads up to {SCHEMA}: upgrade tokgate")
    if not isinstance(document, dict) or set(document) != {"schema", "sha256", "payload"}:
        raise InputError(f"{source}: expected the keys schema, sha256 and payload alone; {_REMEDY}")
    if type(schema) is not int or schema != SCHEMA:
        raise InputError(f"{source}: schema is {schema!r}; expected {SCHEMA}; {_REMEDY}")
    payload = document["payload"]
    try:
        found = digest(payload)
    except ValueError as error:
        raise InputError(f"{source}: a number in it is not finite ({error}); {_REMEDY}") from None
    said = document["sha256"]
    if found != said or not isinstance(payload, dict):
        raise InputError(
            f"{source}: its content has sha256 {found[:12]}... and it says {str(said)[:12]}...: it was "
            f"edited or damaged; {_REMEDY}"
        )
    return payload


def digest(payload: object) -> str:
    """sha256 over the payload with sorted keys and no white space."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _render(value: object, depth: int) -> str:
    """JSON with sorted keys, one entry a line; a list of plain values stays on one line."""
    inner, outer = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict) and value:
        entries = [f"{json.dumps(key)}: {_render(value[key], depth + 1)}" for key in sorted(value)]
        return "{" + inner + f",{inner}".join(entries) + outer + "}"
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return "[" + inner + f",{inner}".join(_render(item, depth + 1) for item in value) + outer + "]"
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}")
