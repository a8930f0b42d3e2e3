"""The front of throughput and TPOT: what no other setting beats in both. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokgate.sweep.estimates import Comparisons
from tokgate.sweep.ranking import Measured, compare, pair_level

METRICS = ("output_throughput", "tpot")
# Of least squares: equal figures come out of it this far apart at most.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Front:
    """Numbers of settings. `on`: better in both is none, by the figures; `perhaps`: some are, none of them surely."""

    on: frozenset[int] = frozenset()
    perhaps: frozenset[int] = frozenset()

    def sign(self, number: int) -> str:
        return "*" if number in self.on else "(*)" if number in self.perhaps else ""


def front(measured: Sequence[Measured]) -> Front:
    """Empty where a setting lacks one of the two metrics, as the TPOT of one token.

    That one setting beats another for sure wants both differences shown: each at the level of the ranking, which
    bounds the chance of any false claim as it does there (an intersection of two tests; Berger 1982).
    """
    if not measured or not all(metric in each.values for each in measured for metric in METRICS):
        return Front()
    compared = [compare(measured, metric) for metric in METRICS]
    numbers = [each.candidate.number for each in measured]
    level = pair_level(len(measured))
    on, perhaps = set(), set()
    for number in numbers:
        others = [other for other in numbers if other != number and _beats(compared, other, number)]
        if not others:
            on.add(number)
        elif not any(_surely(compared, other, number, level) for other in others):
            perhaps.add(number)
    return Front(frozenset(on), frozenset(perhaps))


def _beats(compared: Sequence[Comparisons], one: int, other: int) -> bool:
    """At least as good in both, and better in one."""
    pairs = [(each.effect(one), each.effect(other)) for each in compared]
    return all(mine <= its + _ROUNDING for mine, its in pairs) and any(mine < its - _ROUNDING for mine, its in pairs)


def _surely(compared: Sequence[Comparisons], one: int, other: int, level: float) -> bool:
    return all(each.difference(other, one).lower(level) > 0 for each in compared)
