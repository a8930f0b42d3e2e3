"""From a comparison to a verdict: the levels, the rule, and the screen."""

from __future__ import annotations

from dataclasses import dataclass

from tokgate.gate.comparison import Comparison
from tokgate.gate.defaults import Thresholds
from tokgate.gate.estimate import Estimate
from tokgate.gate.scale import change_pct
from tokgate.gate.verdict import Verdict
from tokgate.session import Better

# One accepted session says nothing of noise, and up to four so little that an interval may hold anything. No night
# seen on a shared CPU was 25% off by itself.
PROVISIONAL_PCT = 25.0
ENOUGH_SESSIONS = 5


@dataclass(frozen=True)
class Levels:
    """`night`: the chance of a false red night, over all its rows; `no_regression`: that of a wrong PASS.

    `screen`: that of an unchanged row's looking slow, so that fresh launches do not clear it; `power`: that of seeing a
    change of MDE size.
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
    """As `rule`; against fewer than ENOUGH_SESSIONS, what is beyond PROVISIONAL_PCT of each is REGRESSED too, and
    against a single one that alone.
    """
    beyond = beyond_each(comparison, better, PROVISIONAL_PCT)
    if comparison.provisional:
        return Ruling(Verdict.REGRESSED if beyond else Verdict.INCONCLUSIVE, None)
    ruling = rule(comparison, better, thresholds, level, levels)
    return Ruling(Verdict.REGRESSED, ruling.ci_pct) if beyond else ruling


def beyond_each(comparison: Comparison, better: Better, pct: float) -> bool:
    """Whether the accepted sessions are few, and the new one is slower than each of them by more than `pct`."""
    few = comparison.sessions < ENOUGH_SESSIONS
    return few and change_pct(comparison.current - comparison.slowest, better) > pct


def is_suspect(comparison: Comparison, better: Better, thresholds: Thresholds, levels: Levels) -> bool:
    """Whether a row looks slow: its lower bound is beyond half its tolerance."""
    if beyond_each(comparison, better, PROVISIONAL_PCT / 2):
        return True
    if comparison.provisional:
        return False
    return change_pct(comparison.lower(levels.screen), better) > thresholds.tolerance_pct / 2
