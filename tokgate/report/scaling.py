"""What more GPUs gave, from stored sessions: rows that differ in nothing but the variant tpN. Pure; no verdict.

Several sessions of one side (two nights at tp2) count together, by their mean. What was measured under other
conditions is in another table, or is told with what differs, and is never a figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from tokgate.errors import InputError
from tokgate.gate.change import Change, change_between, change_over_sessions, launch_prior
from tokgate.gate.scale import harm, value_of
from tokgate.gate.variance import Prior
from tokgate.report.figures import typical
from tokgate.report.scaling_sides import ENGINE, Measured, alike, by_base, differences, gpu_of, version, why_not
from tokgate.session import Row, Session

_SPEED, _TPOT = "output_throughput", "tpot"


@dataclass(frozen=True)
class Line:
    """One row shape. `speeds` in tok/s, `tpots_s`, and the `changes` over the fewest GPUs, by the number of GPUs."""

    label: str
    speeds: Mapping[int, float]
    tpots_s: Mapping[int, float]
    changes: Mapping[int, Change]


@dataclass(frozen=True)
class Scaling:
    """One group on two numbers of GPUs or more. `sides`: by that number, the fewest first; the oldest session first."""

    base: str
    sides: Mapping[int, tuple[Measured, ...]]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    @property
    def fewest(self) -> int:
        """The GPUs whose speed the others' is held against."""
        return next(iter(self.sides))

    @property
    def conditions(self) -> str:
        """What all its sessions have in common."""
        session = self.sides[self.fewest][0].session
        return f"{gpu_of(session)}, {ENGINE} {version(session)}, {session.profile}"

    def efficiency(self, line: Line, gpus: int) -> float:
        """The speed-up as a share of what so many times the GPUs could give."""
        return line.changes[gpus].factor * self.fewest / gpus


@dataclass(frozen=True)
class Scalings:
    """`told`: what is in no table, and why."""

    tables: tuple[Scaling, ...]
    told: tuple[str, ...]


def scalings(sessions: Sequence[Session]) -> Scalings:
    """A table for each group, and for each conditions under which it was measured on two numbers of GPUs.

    Raises InputError where there is none, and for a session that is there twice: it would count as two.
    """
    _refuse_twins(sessions)
    told = [f"{session.id} is left out: {why}." for session in sessions if (why := why_not(session))]
    tables: list[Scaling] = []
    alone: list[str] = []
    for found in by_base([session for session in sessions if not why_not(session)]):
        if len(_gpus(found)) < 2:
            alone.append(f"{found[0].base} ({_tp(_gpus(found))})")
            continue
        parts = alike(found)
        made = [_table(part) for part in parts if len(_gpus(part)) > 1]
        tables += [table for table in made if table.lines]
        told += [f"{each.base}: no tok/s of one row at {_tp(each.sides)}." for each in made if not each.lines]
        told += _not_compared(parts)
    if alone:
        told.append(f"Measured on one number of GPUs only: {', '.join(alone)}.")
    if not tables:
        raise InputError(
            f"no row was measured on two numbers of GPUs in these sessions. {' '.join(told)} Name sessions that differ "
            "in nothing else: `pytest -m gpu` on a host of one GPU measures TP 1, on one of two TP 2, of four TP 4"
        )
    return Scalings(tuple(tables), tuple(told))


def _refuse_twins(sessions: Sequence[Session]) -> None:
    ids = [session.id for session in sessions]
    twins = sorted({name for name in ids if ids.count(name) > 1})
    if twins:
        raise InputError(f"{', '.join(twins)}: in several of the files; a session counts once: name one file of each")


def _not_compared(parts: Sequence[Sequence[Measured]]) -> Iterator[str]:
    """Of parts that are on one number of GPUs, what sets each apart from one that has a table, if there is one."""
    against = next((part for part in parts if len(_gpus(part)) > 1), parts[0])
    for part in parts:
        if part is not against and len(_gpus(part)) < 2:
            names = ", ".join(each.session.id for each in part)
            apart = ", ".join(map(str, differences(against[-1].session, part[-1].session)))
            yield (
                f"{part[0].base} at {_tp(_gpus(part))} of {names} is not compared with that of "
                f"{against[-1].session.id}: {apart}."
            )


def _gpus(found: Sequence[Measured]) -> list[int]:
    return sorted({each.gpus for each in found})


def _tp(gpus: Mapping[int, object] | Sequence[int]) -> str:
    return " and ".join(f"TP {count}" for count in gpus)


def _table(part: Sequence[Measured]) -> Scaling:
    sides = {gpus: tuple(each for each in part if each.gpus == gpus) for gpus in _gpus(part)}
    labels = list(dict.fromkeys(label for side in sides.values() for each in side for label in each.labels))
    speeds = {label: _rows(sides, label, _SPEED) for label in labels}
    fewest = next(iter(sides))
    shown = {label: rows for label, rows in speeds.items() if fewest in rows and len(rows) > 1}
    prior = launch_prior([row for rows in shown.values() for found in rows.values() for row in found])
    lines = [
        Line(
            label,
            {gpus: _mean(found) for gpus, found in rows.items()},
            {gpus: _mean(found) for gpus, found in _rows(sides, label, _TPOT).items()},
            {gpus: _change(rows[fewest], found, prior) for gpus, found in rows.items() if gpus != fewest},
        )
        for label, rows in shown.items()
    ]
    rest = {label: list(rows) for label, rows in speeds.items() if rows and label not in shown}
    return Scaling(part[0].base, sides, tuple(lines), (*_notes(sides, shown, lines), *_elsewhere(rest)))


def _rows(sides: Mapping[int, Sequence[Measured]], label: str, metric: str) -> dict[int, list[Row]]:
    """By number of GPUs, the row in each session that has it; without those that none has."""
    found = {gpus: [row for each in side if (row := each.row(label, metric))] for gpus, side in sides.items()}
    return {gpus: rows for gpus, rows in found.items() if rows}


def _change(first: Sequence[Row], found: Sequence[Row], prior: Prior) -> Change:
    if len(first) == len(found) == 1:
        return change_between(first[0], found[0], prior)
    return change_over_sessions(first, found)


def _mean(rows: Sequence[Row]) -> float:
    """Over sessions, as their change takes it."""
    better = rows[0].better
    return value_of(math.fsum(harm(typical(row), better) for row in rows) / len(rows), better)


def _notes(
    sides: Mapping[int, Sequence[Measured]], shown: Mapping[str, Mapping[int, Sequence[Row]]], lines: Sequence[Line]
) -> Iterator[str]:
    fewest = next(iter(sides))
    single = {
        len(shown[line.label][fewest]) == len(shown[line.label][gpus]) == 1
        for line in lines
        for gpus, change in line.changes.items()
        if change.interval is not None
    }
    if False in single:
        yield "Intervals over sessions, where one of the two sides has several."
    if True in single and len({each.session.id for side in sides.values() for each in side}) > 1:
        yield (
            "Intervals of one session against one are over their launches: how much hosts and nights differ is not in "
            "them, and may be several times as much."
        )
    if any(change.interval is None for line in lines for change in line.changes.values()):
        yield "Speed-ups without an interval: single launches cannot tell how much launches differ."
    yield from _software(sides)


def _software(sides: Mapping[int, Sequence[Measured]]) -> Iterator[str]:
    """What else the sessions were not measured alike with: told, since any of it may be in the speed-up."""
    versions: dict[str, dict[str, None]] = {}
    for session in (each.session for side in sides.values() for each in side):
        for name, value in session.software.items():
            versions.setdefault(name, {})[value] = None
    several = [f"{name} {', '.join(values)}" for name, values in sorted(versions.items()) if len(values) > 1]
    if several:
        yield f"Not the same in all these sessions: {'; '.join(several)}."


def _elsewhere(rest: Mapping[str, list[int]]) -> Iterator[str]:
    """Rows that the fewest GPUs, or they alone, have."""
    for gpus, labels in groupby(sorted(rest, key=lambda label: rest[label]), key=lambda label: rest[label]):
        yield f"At {_tp(gpus)} only: {', '.join(labels)}."
