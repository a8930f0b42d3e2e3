"""What `tokgate doctor` prints."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tokgate.machine.check import Check
from tokgate.machine.doctor import checks, worst
from tokgate.models.cache import default_cache_root

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def print_checks(as_json: bool) -> int:
    """Prints every check with what to do about it; returns 0, or 4 if a measurement here would be invalid."""
    return print_found(checks(cache_folder=default_cache_root()), as_json)


def print_found(found: list[Check], as_json: bool) -> int:
    """The same for checks made elsewhere."""
    if as_json:
        print(json.dumps([asdict(check) for check in found], indent=1))
    else:
        Console(highlight=False).print(_table(found))
    return 4 if worst(found) == "fail" else 0


def _table(found: list[Check]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    for check in found:
        seen = f"{check.seen}\n-> {check.remedy}" if check.remedy else check.seen
        table.add_row(Text(check.status, style=_STYLES[check.status]), check.name, Text(seen))
    return table
