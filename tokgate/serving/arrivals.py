"""When the requests of an open loop are due, in seconds after the start, fixed in advance. Pure.

The arithmetic is that of vllm bench serve: gaps are drawn from a gamma distribution whose shape is `burstiness`
(1: a Poisson process; smaller: burstier; infinite: constant gaps), summed up, and at a constant rate stretched so that
the last request is due at count / rate exactly. The first is due after a gap too, not at 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tokgate.errors import InputError


@dataclass(frozen=True)
class Ramp:
    """Rates, in requests a second, from `start_rps` to `end_rps`: linear or exponential in the request's number."""

    shape: Literal["linear", "exponential"]
    start_rps: float
    end_rps: float

    def rates(self, count: int) -> NDArray[np.float64]:
        """As vllm bench serve has it, request i of n is i / (n - 1) of the way. Raises InputError."""
        if not (0 < self.start_rps < math.inf and 0 < self.end_rps < math.inf):
            raise InputError(
                f"a ramp from {self.start_rps:g} to {self.end_rps:g} requests a second: expected rates above 0 (at 0 "
                "the first request would never come)"
            )
        way = np.arange(count) / max(count - 1, 1)
        if self.shape == "linear":
            return self.start_rps + (self.end_rps - self.start_rps) * way
        return np.asarray(self.start_rps * (self.end_rps / self.start_rps) ** way, dtype=np.float64)


def arrivals(count: int, rate_rps: float, burstiness: float = 1.0, seed: int = 0) -> list[float]:
    """`rate_rps` requests a second. Raises InputError for a rate or burstiness that is not above 0."""
    if not 0 < rate_rps < math.inf:
        raise InputError(f"request rate {rate_rps:g}: expected a finite number above 0; without one the loop is closed")
    due_s = np.cumsum(_gaps_s(np.full(count, float(rate_rps)), burstiness, seed))
    if count and due_s[-1] > 0:
        due_s *= count / rate_rps / due_s[-1]
    return [float(each) for each in due_s]


def ramped_arrivals(count: int, ramp: Ramp, burstiness: float = 1.0, seed: int = 0) -> list[float]:
    """Raises InputError for a ramp or burstiness that cannot be."""
    return [float(each) for each in np.cumsum(_gaps_s(ramp.rates(count), burstiness, seed))]


def _gaps_s(rates_rps: NDArray[np.float64], burstiness: float, seed: int) -> NDArray[np.float64]:
    if not burstiness > 0:
        raise InputError(f"burstiness {burstiness:g}: expected a number above 0; 1 is a Poisson process")
    if math.isinf(burstiness):
        return 1 / rates_rps
    return np.random.default_rng(seed).gamma(shape=burstiness, scale=1 / (rates_rps * burstiness))
