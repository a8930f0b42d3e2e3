"""The score card of a published benchmark: its weighted bounds, what was measured beside each, and the sum kept."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tokgate.gate.verdict import LimitVerdict


@dataclass(frozen=True)
class ScoreCard:
    """One scenario's bounds, in the order of limits.toml; weights in percent.

    `lines` have a weight or are references; `kept_pct` of `weighed_pct` was kept, and the rest of 100 is not a
    figure (code quality).
    """

    scenario: str
    lines: tuple[LimitVerdict, ...]

    @property
    def kept_pct(self) -> float:
        return math.fsum(line.weight_pct or 0 for line in self.lines if not line.broken)

    @property
    def weighed_pct(self) -> float:
        return math.fsum(line.weight_pct or 0 for line in self.lines)


def score_cards(limits: Iterable[LimitVerdict]) -> list[ScoreCard]:
    """A card for each scenario of which any bound has a weight; bounds without one stay off the card."""
    held = list(limits)
    scenarios = dict.fromkeys(limit.scenario for limit in held if limit.weight_pct is not None)
    return [
        ScoreCard(
            scenario,
            tuple(
                limit
                for limit in held
                if limit.scenario == scenario and (limit.weight_pct is not None or limit.bound == "reference")
            ),
        )
        for scenario in scenarios
    ]


def ratio_to_floor(limit: LimitVerdict) -> float | None:
    """The value over its floor; None for what has no floor, or no value."""
    return limit.value / limit.limit if limit.bound == "min" and limit.value is not None and limit.limit > 0 else None
