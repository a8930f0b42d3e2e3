"""Moderated variance: a row's own between-session variance, shrunk toward that of rows like it.

With five accepted sessions a row's own variance has four degrees of freedom, and at the level the night
allows one row it could only show changes several times its noise. Rows that were measured together are alike in
each metric, so their variances are taken as draws from one scaled inverse chi-square distribution (d0, s0^2), fitted
to the rows themselves (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 2004, article 3, section 6.2). Metrics are not alike:
a TTFT may vary ten times as much as the throughput beside it. scipy.special is imported where it is called, see
estimate.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# No timing repeats better than 0.01%; a smaller variance means copied numbers or a coarse clock.
VARIANCE_FLOOR = 1e-8
# A variance this far below its fellows is a stuck counter: its logarithm must not rule the fit.
_RELATIVE_FLOOR = 1e-5
# Of fewer rows the variances say too little of how variances differ.
ENOUGH_ROWS = 4
# Below this dispersion of the log variances d0 exceeds 2,000: the rows share one variance.
_NO_DISPERSION = 1e-3


@dataclass(frozen=True)
class Moderated:
    """The standard deviation of one row's session value, and its degrees of freedom."""

    sd: float
    df: float


@dataclass(frozen=True)
class Prior:
    """What other rows say about a row's variance before its own sessions are seen.

    d0: its weight in degrees of freedom, 0 (nothing known) to inf (all rows share s0_squared). d_total: the
    degrees of freedom the rows hold together; no estimate can have more. common_share: the part of the
    variance that all rows of a night share, known only from `nights` independent nights.
    """

    d0: float
    s0_squared: float
    d_total: float
    common_share: float = 0.0
    nights: int = 0

    def moderate(self, variance: float, df: float) -> Moderated:
        """Combines the prior with a row's own variance, which has `df` degrees of freedom."""
        own = max(variance, VARIANCE_FLOOR)
        if self.d0 == 0:
            return Moderated(math.sqrt(own), df)
        pooled = self.s0_squared
        if not math.isinf(self.d0):
            pooled = (self.d0 * self.s0_squared + df * own) / (self.d0 + df)
        return Moderated(math.sqrt(max(pooled, VARIANCE_FLOOR)), self._effective(min(self.d0 + df, self.d_total)))

    def _effective(self, df: float) -> float:
        """Satterthwaite's: however many the rows, a night's own effect is known from the nights alone. Never more than
        `df`: it is of one variance that is known in two parts, and a row's moderated one was never known so."""
        if self.common_share == 0 or self.nights < 2:
            return df
        share = self.common_share
        return min(df, 1.0 / ((1.0 - share) ** 2 / df + share**2 / (self.nights - 1)))


NO_PRIOR = Prior(d0=0.0, s0_squared=0.0, d_total=0.0)


def fit(variances: Sequence[float], dfs: Sequence[float]) -> Prior:
    """Fits d0 and s0^2 to row variances with their degrees of freedom (all above 0).

    Method of moments on log variances: e = log s^2 - digamma(d/2) + log(d/2) has mean
    log s0^2 - digamma(d0/2) + log(d0/2) and variance trigamma(d/2) + trigamma(d0/2). One row, or none,
    gives no prior. Below 5 sessions the rows' dispersion is itself uncertain, and taking it too small lets the
    noisiest rows raise alarms (2% of nights instead of 1% with 2 sessions and uneven rows); there it is taken larger,
    by two standard errors with 2 sessions.
    """
    if len(variances) < 2:
        return NO_PRIOR
    from scipy.special import digamma, polygamma

    d = np.asarray(dfs, dtype=np.float64)
    raw = np.asarray(variances, dtype=np.float64)
    s2 = np.maximum(raw, max(VARIANCE_FLOOR, _RELATIVE_FLOOR * float(np.median(raw))))
    e = np.log(s2) - digamma(d / 2) + np.log(d / 2)
    spread = float(e.var(ddof=1))
    caution = min(2.0, max(0.0, 2.0 * (4.0 - float(d.mean())) / 3.0))
    spread += caution * spread * math.sqrt(2.0 / (len(e) - 1))
    dispersion = spread - float(polygamma(1, d / 2).mean())
    d_total = float(d.sum())
    if dispersion <= _NO_DISPERSION:
        return Prior(math.inf, float((d * s2).sum() / d_total), d_total)
    d0 = 2.0 * trigamma_inverse(dispersion)
    s0_squared = math.exp(float(e.mean()) + float(digamma(d0 / 2)) - math.log(d0 / 2))
    return Prior(d0, s0_squared, d_total)


def trigamma_inverse(x: float) -> float:
    """y with trigamma(y) = x, for x > 0, by Newton's method on 1/trigamma (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    if x > 1e7:
        return 1.0 / math.sqrt(x)
    if x < 1e-6:
        return 1.0 / x
    y = 0.5 + 1.0 / x
    for _ in range(50):
        trigamma = float(polygamma(1, y))
        step = trigamma * (1.0 - trigamma / x) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-8:
            break
    return float(y)


def common_share(residuals: NDArray[np.float64]) -> float:
    """The share of the variance that the rows of one session have in common, 0 to 1: how they correlate on average.

    `residuals` [rows, sessions]: y less its row's mean, NaN where a session lacks the row. Each row is scaled by its
    own standard deviation first, or the noisiest would speak for all; then two rows of a night have the share as the
    mean of their product, but for the part of it that their means took (n - 1 of n sessions is left).
    """
    measured = ~np.isnan(residuals)
    counts = measured.sum(axis=1)
    sums = np.nansum(residuals**2, axis=1)
    kept = (counts >= 2) & (sums > 0)
    if kept.sum() < 2:
        return 0.0
    counts = counts[kept]
    scaled = np.where(measured[kept], residuals[kept], 0.0) / np.sqrt(sums[kept] / (counts - 1))[:, None]
    rows = measured[kept].sum(axis=0)
    pairs = float((rows * (rows - 1)).sum())
    if pairs == 0:
        return 0.0
    products = float((scaled.sum(axis=0) ** 2 - (scaled**2).sum(axis=0)).sum()) / pairs
    sessions = float(counts.mean())
    return min(1.0, max(0.0, products * sessions / (sessions - 1)))
