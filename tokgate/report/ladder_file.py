"""scenarios/ladders/*.toml: the steps of an optimisation ladder, and how to measure each."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from tokgate.errors import InputError
from tokgate.matrices import SCENARIOS_DIR

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LADDERS_DIR = SCENARIOS_DIR / "ladders"


class Step(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`row`: a scenario's id without its model; `what`: the change it makes; `measure`: the command for it."""

    name: str
    row: str
    what: str
    measure: str


class Ladder(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The steps in their order, the first what all are held against."""

    title: str
    step: tuple[Step, ...]


def load_ladder(kind: str, folder: Path = LADDERS_DIR) -> Ladder:
    """The ladder of machines of that kind, "cpu" or "gpu". Raises InputError for a file that is not as it must be."""
    path = folder / f"{kind}.toml"
    try:
        ladder = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Ladder)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}") from None
    rows = [step.row for step in ladder.step]
    if len(rows) < 2 or len(set(rows)) < len(rows):
        raise InputError(
            f"{path}: its rows are {', '.join(rows) or 'none'}; expected two steps or more, each another row"
        )
    return ladder
