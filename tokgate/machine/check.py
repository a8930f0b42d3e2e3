"""One thing that `tokgate doctor` looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One thing looked at. `remedy` is empty when there is nothing to do."""

    name: str
    status: Status
    seen: str
    remedy: str = ""
