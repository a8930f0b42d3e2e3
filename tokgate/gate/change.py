"""From one row to another: a factor, and its interval by their launches, or by sessions. No verdict by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tokgate.gate.comparison import sample_variance
from tokgate.gate.estimate import Contrast
from tokgate.gate.rows import ys_of
from tokgate.gate.scale import fastest_half
from tokgate.gate.variance import NO_PRIOR, Prior, fit
from tokgate.session import Row

# Of each side: 95% between the bounds.
_LEVEL = 0.025
# exp() of more than 709 overflows.
_LARGEST = 700.0


@dataclass(frozen=True)
class Change(Contrast):
    """From one row to another on the y scale, larger is worse; where nothing tells the error it is NaN."""

    @property
    def factor(self) -> float:
        """How many times as good: 2 is twice the tokens a second, or half the time."""
        return _factor(self.delta)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The factor's, 95%; None where there is too little to tell."""
        if not math.isfinite(self.error):
            return None
        return _factor(self.upper(_LEVEL)), _factor(self.lower(_LEVEL))


def _factor(delta: float) -> float:
    return math.exp(min(-delta, _LARGEST))


def change_between(older: Row, newer: Row, prior: Prior) -> Change:
    """From the session values of two rows, each of as many launches as the shorter has, its first ones.

    The standard error takes the mean of the fastest half for one of as many launches as that half holds: too large for
    most launches, since the others say where the half ends (simulated, of 2, 3 and 6 launches, with and without slow
    ones: 95 to 99.6% of 95% intervals hold the truth). Degrees of freedom are Welch and Satterthwaite's.
    """
    count = min(len(older.launches), len(newer.launches))
    series = [ys_of(row, row.launches[:count]) for row in (older, newer)]
    change = fastest_half(series[1]) - fastest_half(series[0])
    if count < 2:
        return Change(change, math.nan, math.nan)
    moderated = [prior.moderate(sample_variance(ys), count - 1) for ys in series]
    parts = [each.sd**2 / ((count + 1) // 2) for each in moderated]
    df = sum(parts) ** 2 / sum(part**2 / each.df for part, each in zip(parts, moderated, strict=True))
    return Change(change, math.sqrt(sum(parts)), df)


def change_over_sessions(older: Sequence[Row], newer: Sequence[Row]) -> Change:
    """From the means of the session values of two rows, each measured in one session or more, three in all at least.

    Each session counts with as many launches as the shortest has, its first ones. Sessions of the two are taken to
    differ alike, as gate/comparison.py does: of one session against several the standard error is that one's. A prior
    is left out: the rows of a night share what its host did, so other rows tell little more of it.
    """
    count = min(len(row.launches) for row in (*older, *newer))
    values = [[fastest_half(ys_of(row, row.launches[:count])) for row in rows] for rows in (older, newer)]
    means = [math.fsum(each) / len(each) for each in values]
    df = len(older) + len(newer) - 2
    squares = math.fsum((len(each) - 1) * sample_variance(each) for each in values if len(each) > 1)
    moderated = NO_PRIOR.moderate(squares / df, df)
    return Change(means[1] - means[0], moderated.sd * math.sqrt(1 / len(older) + 1 / len(newer)), moderated.df)


def launch_prior(rows: Sequence[Row]) -> Prior:
    """What the launches of several rows say together of how much launches differ."""
    series = [ys_of(row, row.launches) for row in rows if len(row.launches) > 1]
    return fit([sample_variance(ys) for ys in series], [len(ys) - 1 for ys in series])
