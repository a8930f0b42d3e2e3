"""What a setting may hold, where tokgate itself reads it. Standard library alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def whole_number(name: str, value: Any) -> int:
    """The value. Raises ValueError where it is no whole number from 1 up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} = {value!r}; expected a whole number from 1 up")
    return value


def switch(name: str, value: Any) -> bool:
    """The value. Raises ValueError where it is neither true nor false: the text "false" would count as true."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} = {value!r}; expected true or false")
    return value


def share(name: str, value: Any) -> float:
    """The value. Raises ValueError where it is no number above 0 and up to 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise ValueError(f"{name} = {value!r}; expected a number above 0 and up to 1")
    return value


# Setting -> its check, whichever engine takes it.
CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "threads": whole_number,
    "allow_spinning": switch,
    # vLLM's; by it is decided beforehand what fits.
    "gpu_memory_utilization": share,
}
