"""A share of nights with its bounds."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import betaincinv

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rate:
    """`count` of `nights`, with Clopper and Pearson's exact two-sided bounds (Biometrika 26, 1934)."""

    count: int
    nights: int

    @property
    def share(self) -> float:
        return self.count / self.nights

    @property
    def low(self) -> float:
        """Exceeds the true share in at most 2.5% of samples."""
        if self.count == 0:
            return 0.0
        return float(betaincinv(self.count, self.nights - self.count + 1, (1 - CONFIDENCE) / 2))

    @property
    def high(self) -> float:
        """Is below the true share in at most 2.5% of samples."""
        if self.count == self.nights:
            return 1.0
        return float(betaincinv(self.count + 1, self.nights - self.count, (1 + CONFIDENCE) / 2))
