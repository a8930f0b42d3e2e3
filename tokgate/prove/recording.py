"""A recording: real launches of one group on one machine, plain and with their work inflated, as a JSON file."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tokgate.errors import InputError
from tokgate.session import Row, write_atomically

# Version history of the recording: 1  the first
SCHEMA = 1

PLAIN = 0.0
INFLATIONS = (0.02, 0.03, 0.05, 0.10)
# One launch of each inflation to so many plain ones: 12 of each beside 48.
PLAIN_A_CYCLE = 4


class RecordedLaunch(msgspec.Struct, frozen=True, kw_only=True):
    """One undisturbed launch: rows of one launch each, as samples.rows_of makes them."""

    inflate: float
    started: str
    rows: list[Row]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What all launches of a recording have in common; launches of another head do not mix with them.

    `output_len`: tokens a sequence that every scenario is credited with.
    """

    machine: dict[str, Any]
    software: dict[str, str]
    weights: str
    group: str
    scenarios: list[str]
    output_len: int
    rounds: int

    @property
    def machine_id(self) -> str:
        return str(self.machine["id"])

    def differences(self, other: Head) -> list[str]:
        """What differs, machine facts that change from boot to boot left out."""
        mine, others = self._compared(), other._compared()
        return [f"{name} was {mine[name]}, is {others[name]}" for name in mine if mine[name] != others[name]]

    def _compared(self) -> dict[str, Any]:
        stable = {"machine": self.machine["id"], "machine's stable facts": self.machine.get("stable")}
        fields = ("software", "weights", "group", "scenarios", "output_len", "rounds")
        return {**stable, **{name: getattr(self, name) for name in fields}}


class Recording(msgspec.Struct, kw_only=True):
    """`launches` in the order of time. `disturbed`: how many more were measured and cannot be believed."""

    schema: int
    head: Head
    launches: list[RecordedLaunch]
    disturbed: int = 0


def order() -> Iterator[float]:
    """The inflation of each launch, for ever: in cycles of 4 plain ones and one of each inflation, shuffled.

    So wherever a recording ends, plain and inflated launches have met the same minutes. The shuffle is a fixed
    one: a recording that goes on later goes on in the same order.
    """
    for cycle in itertools.count():
        launches = [PLAIN] * PLAIN_A_CYCLE + list(INFLATIONS)
        random.Random(cycle).shuffle(launches)
        yield from launches


def left(recording: Recording, plain: int) -> list[float]:
    """The inflations still to be measured for `plain` plain launches in all, and a quarter of each inflation."""
    cycles = -(-plain // PLAIN_A_CYCLE)
    planned = itertools.islice(order(), cycles * (PLAIN_A_CYCLE + len(INFLATIONS)))
    return list(planned)[len(recording.launches) :]


def read(path: Path) -> Recording:
    """Raises InputError."""
    try:
        recording = msgspec.json.decode(path.read_bytes(), type=Recording)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: no recording of tokgate prove --record: {error}") from None
    if recording.schema != SCHEMA:
        raise InputError(f"{path}: recording of schema {recording.schema}; this tokgate reads {SCHEMA}: record anew")
    return recording


def write(recording: Recording, path: Path) -> None:
    """Whole or not at all: a killed recording leaves the launches that had ended."""
    write_atomically(path, msgspec.json.format(msgspec.json.encode(recording), indent=1) + b"\n")


def resume(path: Path, head: Head) -> Recording:
    """The recording in `path` to go on with, or an empty one. Raises InputError if it is of another head."""
    if not path.exists():
        return Recording(schema=SCHEMA, head=head, launches=[])
    recording = read(path)
    differences = recording.head.differences(head)
    if differences:
        raise InputError(f"{path} cannot go on: {'; '.join(differences)}; give another file with --recording")
    return recording
