"""The order of the settings, and which of them cannot be told apart. Pure.

Of K settings all K(K-1)/2 pairs are compared, each two-sided at 5% over that number (Bonferroni): with 95% confidence
no two are told apart that are equal. An interval is of that level too, so it holds zero where two are not told apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from tokgate.gate.estimate import Contrast
from tokgate.gate.scale import change_pct
from tokgate.sweep.candidates import Candidate
from tokgate.sweep.constraints import Held, Holds
from tokgate.sweep.estimates import Comparisons, Level
from tokgate.sweep.schedule import Failures

# Of a whole sweep: the chance that any two equal settings are told apart.
FAMILY_LEVEL = 0.05
_POWER = 0.8
# On the log scale: of differences beyond a factor of e no ranking needs to be told.
_BLIND = 1.0


class Status(str, Enum):
    """What became of a setting. OPEN: whether it keeps the constraints cannot be told."""

    BEST = "BEST"
    LEVEL = "LEVEL"
    BEHIND = "BEHIND"
    OPEN = "OPEN"
    BREAKS = "BREAKS"
    INVALID = "INVALID"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Measured:
    """A setting whose figures can be believed: metric -> pass -> launch value, what they come to, and constraints.

    `failures`: of launches beside those.
    """

    candidate: Candidate
    values: Mapping[str, Mapping[int, float]]
    levels: Mapping[str, Level]
    held: tuple[Held, ...] = ()
    notes: tuple[str, ...] = ()
    failures: Failures | None = None

    @property
    def holds(self) -> Holds:
        """The gravest of all constraints."""
        found = [held.holds for held in self.held]
        return next((grave for grave in (Holds.BROKEN, Holds.OPEN) if grave in found), Holds.KEPT)


@dataclass(frozen=True)
class Lost:
    """A setting that is not ranked, and why."""

    candidate: Candidate
    status: Status
    why: str
    failures: Failures | None = None

    @property
    def name(self) -> str:
        """The setting, and how many of its launches failed."""
        return f"{self.candidate}, {self.failures}" if self.failures is not None else str(self.candidate)


@dataclass(frozen=True)
class Entry:
    """A line of the ranking. `behind_pct`: how much worse than the best, with its interval; None for the best itself,
    or where there is none. `letters`: settings with a letter in common cannot be told apart."""

    measured: Measured
    status: Status
    behind_pct: float | None = None
    interval_pct: tuple[float, float] | None = None
    letters: str = ""


@dataclass(frozen=True)
class Ranking:
    """`entries` in their order, those that break a constraint last. `sees_pct`: the smallest difference from the best
    that every one of them would have shown in 80% of sweeps, inf beyond a factor of e; None without a comparison."""

    entries: tuple[Entry, ...]
    lost: tuple[Lost, ...] = ()
    groups: tuple[tuple[Candidate, ...], ...] = field(default=())
    sees_pct: float | None = None

    @property
    def best(self) -> Entry | None:
        return next((entry for entry in self.entries if entry.status is Status.BEST), None)

    def of(self, status: Status) -> list[Entry]:
        return [entry for entry in self.entries if entry.status is status]


def pair_level(settings: int) -> float:
    """One-sided level of each of the two bounds of each pair."""
    return FAMILY_LEVEL / max(1, settings * (settings - 1))


def apart(difference: Contrast, level: float) -> bool:
    """Whether the interval leaves zero out."""
    return difference.lower(level) > 0 or difference.upper(level) < 0


def rank(measured: Sequence[Measured], objective: str, lost: Sequence[Lost] = ()) -> Ranking:
    """By the objective. The best is the first that surely keeps the constraints; if none does, the first that may."""
    if not measured:
        return Ranking((), tuple(lost))
    compared = compare(measured, objective)
    level = pair_level(len(measured))
    ordered = sorted(measured, key=lambda each: (each.holds is Holds.BROKEN, compared.effect(each.candidate.number)))
    best = next((each for holds in (Holds.KEPT, Holds.OPEN) for each in ordered if each.holds is holds), None)
    ranked = [each for each in ordered if each.holds is not Holds.BROKEN]
    groups = _groups(ranked, compared, level)
    letters = {
        each.candidate.number: "".join(letter(place) for place, group in enumerate(groups) if each in group)
        for each in ranked
    }
    entries = [_entry(each, best, compared, level, letters.get(each.candidate.number, "")) for each in ordered]
    sees = [
        compared.difference(each.candidate.number, best.candidate.number).minimum_detectable(0.0, level, _POWER)
        for each in ranked
        if best is not None and each is not best
    ]
    return Ranking(
        tuple(entries),
        tuple(lost),
        tuple(tuple(each.candidate for each in group) for group in groups),
        _sees_pct(max(sees), compared) if sees else None,
    )


def _sees_pct(delta: float, compared: Comparisons) -> float:
    return change_pct(delta, compared.better) if delta <= _BLIND else math.inf


def compare(measured: Iterable[Measured], metric: str) -> Comparisons:
    """The settings by their numbers; all have the metric."""
    found = list(measured)
    better = found[0].levels[metric].better
    return Comparisons({each.candidate.number: each.values[metric] for each in found}, better)


def letter(place: int) -> str:
    """a to z, then A to Z; of more groups than that the last share one sign."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return letters[place] if place < len(letters) else "+"


def _entry(each: Measured, best: Measured | None, compared: Comparisons, level: float, letters: str) -> Entry:
    if each is best:
        return Entry(each, Status.BEST, letters=letters)
    status = {Holds.BROKEN: Status.BREAKS, Holds.OPEN: Status.OPEN}.get(each.holds)
    if best is None:
        return Entry(each, status or Status.BREAKS, letters=letters)
    difference = compared.difference(each.candidate.number, best.candidate.number)
    ends = [change_pct(bound, compared.better) for bound in (difference.lower(level), difference.upper(level))]
    if status is None:
        status = Status.BEHIND if apart(difference, level) else Status.LEVEL
    change = change_pct(difference.delta, compared.better)
    return Entry(each, status, change, (ends[0], ends[1]), letters)


def _groups(ranked: Sequence[Measured], compared: Comparisons, level: float) -> list[list[Measured]]:
    """Every largest set of settings of which no two are told apart (maximal cliques, Bron and Kerbosch 1973).

    Ordered by their first member; one in no company is left out.
    """
    near: dict[int, set[int]] = {place: set() for place in range(len(ranked))}
    for one, first in enumerate(ranked):
        for two in range(one):
            difference = compared.difference(first.candidate.number, ranked[two].candidate.number)
            if not apart(difference, level):
                near[one].add(two)
                near[two].add(one)
    found: list[list[int]] = []
    _cliques(set(), set(near), set(), near, found)
    return [[ranked[place] for place in group] for group in sorted(found) if len(group) > 1]


def _cliques(
    inside: set[int], open_: set[int], done: set[int], near: Mapping[int, set[int]], found: list[list[int]]
) -> None:
    if not open_ and not done:
        found.append(sorted(inside))
        return
    # Tomita's choice: of the pivot's neighbours none needs to be tried.
    pivot = max(open_ | done, key=lambda place: len(near[place] & open_))
    for place in sorted(open_ - near[pivot]):
        _cliques(inside | {place}, open_ & near[place], done & near[place], near, found)
        open_ = open_ - {place}
        done = done | {place}
