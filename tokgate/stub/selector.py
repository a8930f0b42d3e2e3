"""Which requests something happens to, by their number, counted from 0 as they arrive."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tokgate.errors import InputError

_WRITTEN = re.compile(r"(?:every:(?P<every>[1-9]\d*)|(?P<first>\d+)(?:-(?P<last>\d+))?)(?::(?P<rest>.*))?")


@dataclass(frozen=True)
class Selector:
    """Requests `first` to `last`, or every `every`-th: the last of each run of as many, so that every:1 is all."""

    first: int = 0
    last: int = 0
    every: int = 0

    def __contains__(self, request: int) -> bool:
        if self.every:
            return request % self.every == self.every - 1
        return self.first <= request <= self.last

    @staticmethod
    def split(text: str) -> tuple[Selector, str]:
        """Takes a selector off the front: `3:reset`, `3-7:reset`, `every:10:reset`. Raises InputError."""
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise InputError(f"{text!r} names no requests: begin with a number, a range (3-7:) or every:N:")
        rest = match["rest"] or ""
        if match["every"]:
            return Selector(every=int(match["every"])), rest
        first = int(match["first"])
        last = int(match["last"] or first)
        if last < first:
            raise InputError(f"{text!r}: the range {first}-{last} is empty; write the smaller number first")
        return Selector(first, last), rest
