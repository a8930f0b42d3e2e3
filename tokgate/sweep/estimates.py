"""What the launches of a sweep say of each setting, and of the difference of any two. Pure.

y is the gate's scale (log, larger is worse). Every setting has a launch in every pass, so y = setting + pass + noise:
what the machine does to a whole pass cancels in a difference. Least squares; the noise may differ from setting to
setting, and its variance is moderated by that of the others as in the gate (gate/variance.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokgate.gate.estimate import Contrast, quantile
from tokgate.gate.scale import harm, value_of
from tokgate.gate.variance import Moderated, Prior, common_share, fit
from tokgate.session import Better

# Of values on the y scale by pass: {pass number: y}.
Passes = Mapping[int, float]
# A contrast is estimable if its projection on the design's row space is itself.
_ROUNDING = 1e-6
_LEAST_DF = 1e-6
# exp() of more says nothing, and overflows.
_LARGEST_Y = 500.0


@dataclass(frozen=True)
class Level:
    """One setting's own value: the launches' geometric mean, as it was in these passes of this machine."""

    y: float
    standard_error: float
    df: float
    better: Better

    @property
    def value(self) -> float:
        return value_of(self.y, self.better)

    def interval(self, level: float) -> tuple[float, float]:
        """The lower and the upper value, each exceeded with probability `level`."""
        half = quantile(self.df, level) * self.standard_error if self.df >= _LEAST_DF else math.inf
        ends = [value_of(max(-_LARGEST_Y, min(_LARGEST_Y, self.y + sign * half)), self.better) for sign in (-1, 1)]
        return min(ends), max(ends)


class Comparisons:
    """Settings of a sweep by key, compared in one metric."""

    def __init__(self, values: Mapping[int, Mapping[int, float]], better: Better) -> None:
        """`values`: setting -> pass -> launch value, in the metric's unit; every setting has one at least."""
        self.better: Better = better
        self._keys = list(values)
        self._place = {key: place for place, key in enumerate(self._keys)}
        self._ys = {key: {number: harm(value, better) for number, value in passes.items()}
                    for key, passes in values.items()}  # fmt: skip
        fitted = _Fit(list(self._ys.values()))
        self._fitted = fitted
        prior = _prior(fitted.variances, fitted.dfs)
        self._noise = [prior.moderate(variance, df) for variance, df in zip(fitted.variances, fitted.dfs, strict=True)]

    def effect(self, key: int) -> float:
        """y of the setting, without what the passes it happened to have did to it."""
        return self._fitted.effect(self._place[key])

    def difference(self, key: int, other: int) -> Contrast:
        """By how much `key` is worse than `other`; its error is infinite where no pass has both."""
        one, two = self._place[key], self._place[other]
        variances = [noise.sd**2 for noise in self._noise]
        change, error = self._fitted.contrast(one, two, variances)
        # Both variances hold the same prior: their degrees of freedom must not be added (Welch 1947 would).
        df = min(self._noise[one].df, self._noise[two].df)
        return Contrast(change, error, df) if df >= _LEAST_DF else Contrast(change, math.inf, 1.0)


def levels(values: Mapping[int, Mapping[int, float]], better: Better) -> dict[int, Level]:
    """Each setting's own value. Its error holds what passes do too, which they share (gate/variance.py)."""
    ys = {key: [harm(value, better) for value in passes.values()] for key, passes in values.items()}
    repeated = {key: each for key, each in ys.items() if len(each) > 1}
    prior = _prior([_variance(each) for each in repeated.values()], [len(each) - 1 for each in repeated.values()])
    if repeated and prior.d0:
        numbers = sorted({number for key in repeated for number in values[key]})
        residuals = np.full((len(repeated), len(numbers)), np.nan)
        for place, (key, each) in enumerate(repeated.items()):
            for number, y in zip(values[key], each, strict=True):
                residuals[place, numbers.index(number)] = y - math.fsum(each) / len(each)
        share = common_share(residuals)
        prior = Prior(prior.d0, prior.s0_squared, prior.d_total, share, len(numbers))
    return {key: _level(each, prior, better) for key, each in ys.items()}


def _level(ys: Sequence[float], prior: Prior, better: Better) -> Level:
    mean = math.fsum(ys) / len(ys)
    if len(ys) < 2:
        return Level(mean, math.inf, 0.0, better)
    noise = prior.moderate(_variance(ys), len(ys) - 1)
    return Level(mean, noise.sd / math.sqrt(len(ys)), noise.df, better)


def _variance(ys: Sequence[float]) -> float:
    mean = math.fsum(ys) / len(ys)
    return math.fsum((y - mean) ** 2 for y in ys) / (len(ys) - 1)


class _Own(Prior):
    """No prior, and no degrees of freedom where there are none."""

    def moderate(self, variance: float, df: float) -> Moderated:
        return super().moderate(variance, df) if df >= _LEAST_DF else Moderated(1.0, 0.0)


def _prior(variances: Sequence[float], dfs: Sequence[float]) -> Prior:
    known = [(variance, df) for variance, df in zip(variances, dfs, strict=True) if df >= _LEAST_DF]
    if len(known) < 2:
        return _Own(d0=0.0, s0_squared=0.0, d_total=0.0)
    return fit([variance for variance, _ in known], [df for _, df in known])


class _Fit:
    """Least squares of y = setting + pass on whatever launches there are."""

    def __init__(self, settings: Sequence[Passes]) -> None:
        numbers = sorted({number for passes in settings for number in passes})
        place = {number: len(settings) + index for index, number in enumerate(numbers)}
        cells = [(row, number, y) for row, passes in enumerate(settings) for number, y in passes.items()]
        design = np.zeros((len(cells), len(settings) + len(numbers)))
        for index, (row, number, _) in enumerate(cells):
            design[index, row] = design[index, place[number]] = 1.0
        ys = np.array([y for _, _, y in cells])
        self._settings = len(settings)
        self._passes = len(numbers)
        self._rows = np.array([row for row, _, _ in cells])
        self._inverse: NDArray[np.floating[Any]] = np.linalg.pinv(design)
        self._design = design
        self._solution = self._inverse @ ys
        squares = (ys - design @ self._solution) ** 2
        # 1 - leverage: what of each residual is left free; over a setting it sums to its degrees of freedom.
        free = 1.0 - np.einsum("ij,ji->i", design, self._inverse)
        self.dfs = [float(free[self._rows == row].sum()) for row in range(self._settings)]
        sums = [float(squares[self._rows == row].sum()) for row in range(self._settings)]
        self.variances = [total / df if df >= _LEAST_DF else 0.0 for total, df in zip(sums, self.dfs, strict=True)]

    def effect(self, row: int) -> float:
        """In an average pass."""
        return float(self._solution[row] + self._solution[self._settings :].mean())

    def contrast(self, one: int, two: int, variances: Sequence[float]) -> tuple[float, float]:
        """The difference of two settings and its standard error, each launch having its setting's variance."""
        wanted = np.zeros(self._settings + self._passes)
        wanted[one], wanted[two] = 1.0, -1.0
        weights = wanted @ self._inverse
        change = float(wanted @ self._solution)
        if np.abs(weights @ self._design - wanted).max() > _ROUNDING:
            return change, math.inf
        return change, math.sqrt(float((weights**2 * np.array(variances)[self._rows]).sum()))
