"""The stored comparison: a new session against the accepted sessions of its row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tokgate.gate.estimate import Estimate
from tokgate.gate.scale import fastest_half
from tokgate.gate.variance import Prior

MAX_SESSIONS = 30


@dataclass(frozen=True)
class Comparison(Estimate):
    """`delta`: y now less the mean of the accepted sessions; `sd`, `df`: moderated, of one session value.

    `baseline`, `current`: those two on the y scale; `slowest`: the largest y of the accepted sessions. One accepted
    session has no variance: `sd` is NaN.
    """

    baseline: float
    current: float
    sessions: int
    sd: float
    df: float
    slowest: float

    @property
    def delta(self) -> float:
        return self.current - self.baseline

    @property
    def provisional(self) -> bool:
        return self.sessions < 2

    @property
    def standard_error(self) -> float:
        """Of predicting one new session from the mean of the accepted ones."""
        return self.sd * math.sqrt(1.0 + 1.0 / self.sessions)

    def with_sessions(self, sessions: int) -> Comparison:
        """The same change and noise, seen against more accepted sessions."""
        more = sessions - self.sessions
        return replace(self, sessions=sessions, df=self.df + more)


def compare(now: Sequence[float], accepted: Sequence[Sequence[float]], prior: Prior) -> Comparison:
    """Compares one session's launches with those of the accepted sessions; all on the y scale.

    The best half of six launches is faster than a single launch by half a standard deviation or more, with no
    change in the code. So every session counts with as many launches as the shortest has, its first ones.
    """
    count = min(len(now), *(len(launches) for launches in accepted))
    values = [fastest_half(launches[:count]) for launches in accepted]
    return compare_values(fastest_half(now[:count]), values, prior)


def compare_values(now: float, accepted: Sequence[float], prior: Prior) -> Comparison:
    """As `compare`, from session values."""
    sessions = len(accepted)
    mean, slowest = math.fsum(accepted) / sessions, max(accepted)
    if sessions < 2:
        return Comparison(mean, now, sessions, math.nan, 0.0, slowest)
    moderated = prior.moderate(sample_variance(accepted), sessions - 1)
    return Comparison(mean, now, sessions, moderated.sd, moderated.df, slowest)


def sample_variance(values: Sequence[float]) -> float:
    """The unbiased variance of two values or more."""
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def sessions_to_settle(
    comparison: Comparison, tolerance: float, margin: float, level: float, pass_level: float
) -> int | None:
    """How many more accepted sessions would make it REGRESSED or PASS, all else equal; None: none would."""
    for sessions in range(comparison.sessions + 1, MAX_SESSIONS + 1):
        later = comparison.with_sessions(sessions)
        if later.lower(level) > tolerance or later.upper(pass_level) < margin:
            return sessions - comparison.sessions
    return None
