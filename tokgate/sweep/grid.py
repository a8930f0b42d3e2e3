"""From the grids of a file to the settings to measure. Pure.

A grid is every combination of its values; a file has one or several, and what stands in two is measured once.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# In a grid: the key is left out, and the engine chooses.
DEFAULT = "default"

Choice = Mapping[str, Any]


def choices(grids: Iterable[Mapping[str, Sequence[Any]]]) -> list[dict[str, Any]]:
    """Every combination of every grid in the order of the file, the last key varying first; each once."""
    found: dict[str, dict[str, Any]] = {}
    for grid in grids:
        for values in itertools.product(*grid.values()):
            choice = dict(zip(grid, values, strict=True))
            choice = {name: value for name, value in choice.items() if value != DEFAULT}
            found.setdefault(identity(choice), choice)
    return list(found.values())


def identity(choice: Choice) -> str:
    """The same for two that hold the same, in whatever order. True is not 1, nor 1 1.0."""
    return json.dumps(choice, sort_keys=True)


def labels(found: Sequence[Choice], order: Iterable[str] = ()) -> list[str]:
    """What each is called: what is not the same in all of them. "default" where it sets nothing of that.

    `order`: names that go before the others.
    """
    names = dict.fromkeys([*order, *(name for choice in found for name in choice)])
    varying = [name for name in names if len({json.dumps(choice.get(name)) for choice in found}) > 1]
    return [" ".join(_word(name, choice[name]) for name in varying if name in choice) or DEFAULT for choice in found]


def _word(name: str, value: Any) -> str:
    if name == "precision":
        return str(value)
    if isinstance(value, Mapping):
        # "method=ngram,num_speculative_tokens=4" without the quotes and braces of JSON.
        return f"{name}={','.join(f'{key}={text(item)}' for key, item in value.items())}"
    return f"{name}={text(value)}"


def text(value: Any) -> str:
    """A value as it stands in TOML, a text without its quotes."""
    return value if isinstance(value, str) else json.dumps(value)
