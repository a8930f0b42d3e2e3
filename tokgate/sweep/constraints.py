"""Limits that a setting has to keep, held against what was measured, with its interval. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from tokgate.metrics import Metric
from tokgate.report.units import text_of
from tokgate.sweep.estimates import Level

# One-sided: 1 in 20 settings that break a limit by a hair is said to keep it, and 1 in 20 the other way round.
CONSTRAINT_LEVEL = 0.05


class Holds(str, Enum):
    """What the interval says of the limit."""

    KEPT = "kept"
    OPEN = "cannot be told"
    BROKEN = "broken"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Constraint:
    """`limit` in the metric's own unit; `shown` as the file has it."""

    metric: Metric
    bound: Literal["min", "max"]
    limit: float
    shown: str

    def __str__(self) -> str:
        return f"{self.metric.name} {'<=' if self.bound == 'max' else '>='} {self.shown}"

    def breaks(self, value: float) -> bool:
        return value > self.limit if self.bound == "max" else value < self.limit


@dataclass(frozen=True)
class Held:
    """A constraint held against one setting. `why` gives the figures."""

    constraint: Constraint
    holds: Holds
    why: str


def hold(constraint: Constraint, level: Level | None, values: Sequence[float]) -> Held:
    """`values`: of all rounds; `level`: what is known of the launches, None where the metric was not measured.

    What was not measured is not kept. Values that are all the same are a count, as a success rate is, and no estimate.
    """
    if level is None or not values:
        return Held(constraint, Holds.BROKEN, f"{constraint}: not measured")
    unit = constraint.metric.unit
    if min(values) == max(values):
        holds = Holds.BROKEN if constraint.breaks(values[0]) else Holds.KEPT
        return Held(constraint, holds, f"{constraint}: {text_of(values[0], unit)} in every round")
    low, high = level.interval(CONSTRAINT_LEVEL)
    if constraint.breaks(low) and constraint.breaks(high):
        holds = Holds.BROKEN
    elif constraint.breaks(low) or constraint.breaks(high):
        holds = Holds.OPEN
    else:
        holds = Holds.KEPT
    return Held(constraint, holds, f"{constraint}: {text_of(level.value, unit)} [{text_of(low, unit)}, "
                                   f"{text_of(high, unit)}]")  # fmt: skip
