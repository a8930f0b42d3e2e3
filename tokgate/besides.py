"""What else goes wrong while an error is raised: printed, and kept with the error. Standard library alone.

The reason for which all ends stays the first one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

BESIDES = "besides: "


def tell(text: str, error: BaseException | None) -> None:
    """Prints it, and makes it a note of `error` as Python 3.11 has them: of an interrupted test pytest shows those, and
    nothing that was printed."""
    print(f"tokgate: {text}", file=sys.stderr, flush=True)
    if error is not None:
        error.__notes__ = [*notes_of(error), text]


def notes_of(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", ()))


def with_notes(message: str, notes: Iterable[str]) -> str:
    """A line for each below the message."""
    return "\n".join([message, *(BESIDES + " ".join(text.splitlines()) for text in notes)])
