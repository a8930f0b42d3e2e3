"""An estimated change with Student's t for its error: what every comparison of the gate is in the end.

scipy.special is imported where it is called: that takes a third of a second, and most of what imports this, a run whose
rows have no baseline among it, never gets there.
"""

from __future__ import annotations

import abc
import functools
import math
from dataclasses import dataclass

_FAR = 1e4


class Estimate(abc.ABC):
    """A change on the y scale (larger is worse), its standard error and that error's degrees of freedom."""

    df: float

    @property
    @abc.abstractmethod
    def delta(self) -> float: ...

    @property
    @abc.abstractmethod
    def standard_error(self) -> float: ...

    def lower(self, level: float) -> float:
        """One-sided lower bound of the change: above the truth with probability `level`."""
        return self.delta - quantile(self.df, level) * self.standard_error

    def upper(self, level: float) -> float:
        """One-sided upper bound of the change: below the truth with probability `level`."""
        return self.delta + quantile(self.df, level) * self.standard_error

    def minimum_detectable(self, tolerance: float, level: float, power: float) -> float:
        """The true change whose lower bound is beyond `tolerance` with probability `power`.

        (delta - tolerance) / standard error is a noncentral t; its noncentrality is solved for.
        """
        return tolerance + noncentrality(self.df, level, power) * self.standard_error


@dataclass(frozen=True)
class Contrast(Estimate):
    """An estimate that is known as such: by how much one thing is worse than another.

    `error`: the standard error; infinite or NaN where nothing tells it.
    """

    change: float
    error: float
    df: float

    @property
    def delta(self) -> float:
        return self.change

    @property
    def standard_error(self) -> float:
        return self.error


@functools.lru_cache(maxsize=4096)
def quantile(df: float, level: float) -> float:
    """Student's t exceeded with probability `level`."""
    from scipy.special import stdtrit

    return -float(stdtrit(df, level))


@functools.lru_cache(maxsize=4096)
def noncentrality(df: float, level: float, power: float) -> float:
    """The noncentrality at which a noncentral t exceeds the `level` quantile with probability `power`."""
    from scipy.special import chdtri, nctdtrinc

    beyond = quantile(df, level)
    if beyond > _FAR:
        # nctdtrinc searches without end there (df 0.33, level 0.004); the normal part is nothing beside the quantile,
        # and what is left is the chi-square of the denominator.
        return beyond * math.sqrt(float(chdtri(df, 1.0 - power)) / df)
    # nctdtrinc is undefined at df = inf; at 1e5 it is Student's to four digits.
    found = float(nctdtrinc(min(df, 1e5), 1.0 - power, beyond))
    return found if math.isfinite(found) else math.inf
