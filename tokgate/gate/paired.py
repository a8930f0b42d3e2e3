"""The paired comparison: candidate against reference, measured in turns in one night.

What the night or the host does to one launch of a pair it does to the other too, so it leaves their log ratio
alone. A launch that something else slowed stays visible in its pair; trimming keeps such pairs, slow on either
side, from deciding (Tukey & McLaughlin, Sankhya A 25, 1963; Yuen, Biometrika 61, 1974, is its two-sample form).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokgate.gate.estimate import Estimate
from tokgate.gate.scale import harm
from tokgate.gate.variance import NO_PRIOR, Prior, common_share, fit
from tokgate.session import Row

# Of the pairs, on each side.
TRIM = 0.2
# Fewer pairs than this have no usable variance once trimmed.
MIN_PAIRS = 3
MAX_PAIRS = 60


@dataclass(frozen=True)
class PairedComparison(Estimate):
    """`reference`, `candidate`: trimmed means on the y scale; `change` that of their differences.

    `sd`, `df`: moderated; `kept` of `pairs` differences are between the trimmed ends.
    """

    reference: float
    candidate: float
    change: float
    pairs: int
    sd: float
    df: float

    @property
    def delta(self) -> float:
        return self.change

    @property
    def kept(self) -> int:
        return self.pairs - 2 * trimmed_count(self.pairs)

    @property
    def standard_error(self) -> float:
        return self.sd / math.sqrt(self.kept)

    def with_pairs(self, pairs: int) -> PairedComparison:
        """The same change and noise, seen in another number of pairs."""
        later = PairedComparison(self.reference, self.candidate, self.change, pairs, self.sd, self.df)
        return PairedComparison(
            self.reference, self.candidate, self.change, pairs, self.sd, self.df + later.kept - self.kept
        )


def differences(row: Row) -> list[float]:
    """log(candidate / reference) of each pair, signed so that larger is worse."""
    return [harm(candidate, row.better) - harm(reference, row.better) for reference, candidate in row.pairs or []]


def trimmed_count(pairs: int) -> int:
    """How many are left out at each end."""
    return int(TRIM * pairs)


def trimmed_mean(values: Sequence[float]) -> float:
    cut = trimmed_count(len(values))
    return math.fsum(sorted(values)[cut : len(values) - cut]) / (len(values) - 2 * cut)


def winsorized_variance(values: Sequence[float]) -> float:
    """The sum of squares of the winsorised values over h - 1, h being how many trimming keeps.

    Divided by h it is the squared standard error of the trimmed mean; it has h - 1 degrees of freedom.
    """
    cut = trimmed_count(len(values))
    ordered = sorted(values)
    kept = ordered[cut : len(values) - cut]
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    mean = math.fsum(winsorized) / len(winsorized)
    return math.fsum((value - mean) ** 2 for value in winsorized) / (len(kept) - 1)


def compare_pairs(row: Row, prior: Prior) -> PairedComparison:
    """The comparison of a row's pairs, MIN_PAIRS or more."""
    pairs = row.pairs or []
    return compare_differences(
        differences(row),
        prior,
        trimmed_mean([harm(reference, row.better) for reference, _ in pairs]),
        trimmed_mean([harm(candidate, row.better) for _, candidate in pairs]),
    )


def compare_differences(
    values: Sequence[float], prior: Prior, reference: float = 0.0, candidate: float = 0.0
) -> PairedComparison:
    """As `compare_pairs`, from the differences of the pairs."""
    kept = len(values) - 2 * trimmed_count(len(values))
    moderated = prior.moderate(winsorized_variance(values), kept - 1)
    return PairedComparison(reference, candidate, trimmed_mean(values), len(values), moderated.sd, moderated.df)


def paired_prior(rows: Sequence[Row]) -> Prior:
    """What the paired rows say together of how much pairs differ; nothing where there is one row."""
    series = [values for row in rows if len(values := differences(row)) >= MIN_PAIRS]
    variances = [winsorized_variance(values) for values in series]
    prior = fit(variances, [len(values) - 2 * trimmed_count(len(values)) - 1 for values in series])
    if prior is NO_PRIOR or len({len(values) for values in series}) > 1:
        return prior
    pairs = len(series[0])
    kept = pairs - 2 * trimmed_count(pairs)
    residuals: NDArray[np.float64] = np.array([_winsorized_residuals(values) for values in series])
    share = common_share(residuals)
    return Prior(prior.d0, prior.s0_squared, prior.d_total, share, kept)


def pairs_to_settle(
    comparison: PairedComparison, tolerance: float, margin: float, level: float, pass_level: float
) -> int | None:
    """How many more pairs would make it REGRESSED or PASS, all else equal; None: none would."""
    for pairs in range(comparison.pairs + 1, MAX_PAIRS + 1):
        later = comparison.with_pairs(pairs)
        if later.lower(level) > tolerance or later.upper(pass_level) < margin:
            return pairs - comparison.pairs
    return None


def _winsorized_residuals(values: Sequence[float]) -> list[float]:
    cut = trimmed_count(len(values))
    ordered = sorted(values)
    low, high = ordered[cut], ordered[len(values) - 1 - cut]
    winsorized = [min(max(value, low), high) for value in values]
    mean = math.fsum(winsorized) / len(winsorized)
    return [value - mean for value in winsorized]
