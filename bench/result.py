"""A line of the table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Result:
    """`values` are ratios or figures of single turns; `goal` is what they should reach. `signed`: may be 0 or less."""

    what: str
    values: Sequence[float]
    goal: str
    unit: str = "x"
    signed: bool = False
    digits: int = 2

    def cells(self) -> tuple[str, str, str, str]:
        """Mean and its 95% interval (Student's t): geometric, on logs, but for signed figures."""
        values = np.asarray(self.values)
        scaled = values if self.signed else np.log(values)
        mean = float(scaled.mean())
        interval = ""
        if len(scaled) > 1:
            half = stats.t.ppf(0.975, len(scaled) - 1) * scaled.std(ddof=1) / math.sqrt(len(scaled))
            interval = f"{self._told(mean - half)} to {self._told(mean + half)}"
        return self.what, f"{self._told(mean)}{self.unit}", interval, self.goal

    def _told(self, scaled: float) -> str:
        return f"{scaled:+.{self.digits}f}" if self.signed else f"{math.exp(scaled):,.{self.digits}f}"
