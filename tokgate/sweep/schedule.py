"""Which launch is made next. Pure: what was made decides, so a sweep that was killed goes on where it was.

A pass is one launch of every setting, in an order of its own, so that a machine that drifts favours none. Rows that
differ in batch or concurrency alone share a launch, unless it fails: then each has launches of its own, since one may
have taken the others with it. After the passes come further ones, as many again, for launches that were disturbed.
An engine that died is tried once more, in a later pass: an error's text does not tell what would happen again, and a
launch costs less than a setting that is given up for a crash of chance.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tokgate.launch import LaunchRecord
from tokgate.samples import unequal_work
from tokgate.sweep.candidates import Candidate
from tokgate.sweep.store import Made

# Of launches that a setting had for itself: with the second it is given up.
_MOST_DEATHS = 2


@dataclass(frozen=True)
class Next:
    """A launch to make: its pass, counted from 1, and the candidates that it measures, all of one group."""

    pass_number: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Failures:
    """How many of a setting's launches failed, those that it shared among them; `why`: the newest of them."""

    failed: int
    launches: int
    why: str

    def __str__(self) -> str:
        return f"{self.failed} of {self.launches} launches failed"


@dataclass
class Standing:
    """What a candidate's launches came to. `records`: of launches that ended in order, by pass; `usable`: of those
    the passes in which every round counts. `died`: why launches of its own failed; `shared`: why those did that it
    shared, which say nothing of any of their rows. `wrong`: what was not equal in one."""

    records: dict[int, LaunchRecord] = field(default_factory=dict)
    usable: list[int] = field(default_factory=list)
    tried: set[int] = field(default_factory=set)
    died: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    wrong: str | None = None

    @property
    def failed(self) -> bool:
        return len(self.died) >= _MOST_DEATHS

    @property
    def ruled_out(self) -> str | None:
        """Why no further launch is made."""
        return self.died[-1] if self.failed else self.wrong

    @property
    def failures(self) -> Failures | None:
        found = [*self.shared, *self.died]
        return Failures(len(found), len(found) + len(self.records), found[-1]) if found else None

    def wants(self, pass_number: int, launches: int) -> bool:
        if self.ruled_out or pass_number in self.tried or pass_number > 2 * launches:
            return False
        return pass_number <= launches or len(self.usable) < launches

    def wanted(self, launches: int) -> int:
        """How many launches are still to be made, if none is disturbed."""
        plain = sum(self.wants(number, launches) for number in range(1, launches + 1))
        spare = sum(self.wants(number, launches) for number in range(launches + 1, 2 * launches + 1))
        return max(plain, min(plain + spare, launches - len(self.usable)))


def standings(candidates: Iterable[Candidate], launches: Sequence[Made], rounds: int) -> dict[int, Standing]:
    """By the candidates' numbers. A launch of several rows that failed says nothing of any of them."""
    found: dict[int, Standing] = {}
    for candidate in candidates:
        scenario = candidate.scenario
        standing = found.setdefault(candidate.number, Standing())
        for made in launches:
            if scenario.id not in made.scenarios:
                continue
            if made.failed and len(made.scenarios) > 1:
                standing.shared.append(made.failed)
                continue
            standing.tried.add(made.pass_number)
            if made.record is None:
                standing.died.append(made.failed or "it failed")
                continue
            standing.records[made.pass_number] = made.record
            wrong = unequal_work(scenario, [made.record])
            if wrong:
                standing.wrong = standing.wrong or wrong[0]
            elif len(made.record.rounds.get(scenario.id, [])) >= rounds:
                standing.usable.append(made.pass_number)
    return found


def next_launch(
    candidates: Sequence[Candidate], launches: Sequence[Made], wanted: int, rounds: int, seed: str
) -> Next | None:
    """None: everything is measured, or was tried often enough."""
    found = standings(candidates, launches, rounds)
    alone = {scenario for made in launches if made.failed and len(made.scenarios) > 1 for scenario in made.scenarios}
    for pass_number in range(1, 2 * wanted + 1):
        for unit in _order(_units(candidates, alone), f"{seed} pass {pass_number}"):
            open_ = tuple(each for each in unit if found[each.number].wants(pass_number, wanted))
            if open_:
                return Next(pass_number, open_)
    return None


def left(candidates: Sequence[Candidate], launches: Sequence[Made], wanted: int, rounds: int) -> dict[str, int]:
    """Group -> how many launches are still to be made of it, if none is disturbed."""
    found = standings(candidates, launches, rounds)
    alone = {scenario for made in launches if made.failed and len(made.scenarios) > 1 for scenario in made.scenarios}
    counts: dict[str, int] = {}
    for unit in _units(candidates, alone):
        group = unit[0].scenario.group.id
        counts[group] = counts.get(group, 0) + max(found[each.number].wanted(wanted) for each in unit)
    return counts


def time_left_s(counts: Mapping[str, int], launches: Iterable[Made], group_of: Mapping[str, str]) -> float | None:
    """By what launches of the same group took, else by the mean of all; None before the first."""
    took: dict[str, list[float]] = {}
    for made in launches:
        took.setdefault(group_of.get(made.scenarios[0], ""), []).append(made.wall_s)
    every = [wall_s for each in took.values() for wall_s in each]
    if not every:
        return None
    mean_s = sum(every) / len(every)
    return sum(
        count * (sum(took[group]) / len(took[group]) if group in took else mean_s) for group, count in counts.items()
    )


def _units(candidates: Sequence[Candidate], alone: set[str]) -> list[list[Candidate]]:
    """What shares a launch."""
    units: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        scenario = candidate.scenario
        units.setdefault(scenario.id if scenario.id in alone else scenario.group.id, []).append(candidate)
    return list(units.values())


def _order(units: list[list[Candidate]], seed: str) -> list[list[Candidate]]:
    shuffled = list(units)
    random.Random(seed).shuffle(shuffled)
    return shuffled
