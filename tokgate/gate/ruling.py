"""From a comparison to a verdict: the levels, the rule, and the screen."""

from __future__ import annotations

from dataclasses import dataclass

from tokgate.gate.comparison import Comparison
from tokgate.gate.defaults import Thresholds
from tokgate.gate.estimate import Estimate
from tokgate.gate.scale import change_pct
from tokgate.gate.verdict import Verdict
from tokgate.session import Better

# One accepted session says nothing of noise. No night seen on a shared CPU was 25% off by itself.
PROVISIONAL_PCT = 25.0


@dataclass(frozen=True)
class Levels:
    """`night`: the chance of a false red night, over all its rows; `no_regression`: that of a wrong PASS.

    `screen`: that of measuring an unchanged row again; `power`: that of seeing a change of MDE size.
    """

    night: float = 0.01
    no_regression: float = 0.05
    screen: float = 0.10
    power: float = 0.80

    def of_row(self, family: int) -> float:
        """The night's level split over the gated rows and the suite's row (Bonferroni)."""
        return self.night / (family + 1)


@dataclass(frozen=True)
class Ruling:
    """A verdict with the two bounds it used, in percent, positive when worse."""

    verdict: Verdict
    ci_pct: tuple[float, float] | None


def rule(estimate: Estimate, better: Better, thresholds: Thresholds, level: float, levels: Levels) -> Ruling:
    """REGRESSED, IMPROVED, PASS or INCONCLUSIVE; comparing in percent, so what is printed is what decided."""
    lower_pct = change_pct(estimate.lower(level), better)
    best_pct = change_pct(estimate.upper(level), better)
    upper_pct = change_pct(estimate.upper(levels.no_regression), better)
    if lower_pct > thresholds.tolerance_pct:
        return Ruling(Verdict.REGRESSED, (lower_pct, upper_pct))
    if best_pct < -thresholds.tolerance_pct:
        return Ruling(Verdict.IMPROVED, (lower_pct, best_pct))
    passed = upper_pct < thresholds.margin_pct
    return Ruling(Verdict.PASS if passed else Verdict.INCONCLUSIVE, (lower_pct, upper_pct))


def rule_stored(comparison: Comparison, better: Better, thresholds: Thresholds, level: float, levels: Levels) -> Ruling:
    """As `rule`; against a single accepted session, only what is beyond PROVISIONAL_PCT is REGRESSED."""
    if comparison.provisional:
        beyond = change_pct(comparison.delta, better) > PROVISIONAL_PCT
        return Ruling(Verdict.REGRESSED if beyond else Verdict.INCONCLUSIVE, None)
    return rule(comparison, better, thresholds, level, levels)


def is_suspect(comparison: Comparison, better: Better, thresholds: Thresholds, levels: Levels) -> bool:
    """Whether a row looks slow enough to be measured again: its lower bound is beyond half its tolerance."""
    if comparison.provisional:
        return change_pct(comparison.delta, better) > PROVISIONAL_PCT / 2
    return change_pct(comparison.lower(levels.screen), better) > thresholds.tolerance_pct / 2
