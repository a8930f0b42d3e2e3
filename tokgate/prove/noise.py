"""Synthetic noise: how sessions, launches and iterations differ, and what was done to the software. Seeded.

Everything is on the scale y = log(seconds): an SD of 0.01 is 1%, a slowdown s adds log(1 + s).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """One machine's noise; SDs are of y.

    `session_sd` is the median over rows, whose own SDs are lognormal with sigma `session_sd_spread`; `night_sd`
    is that of an effect which all rows of a night share. `contaminated_share` of the launches are slower by up
    to `contaminated_by`, uniformly, each row's apart or (`contaminated_together`) all rows of a launch. `drift_sd`
    is the step, from each session to the next, of a random walk of the machine's level. `bimodal_share` of the
    launches of a row are in a second mode, slower by `bimodal_distance`.
    """

    kind: Literal["cpu", "gpu"]
    session_sd: float
    launch_sd: float
    iteration_sd: float
    session_sd_spread: float = 0.3
    night_sd: float = 0.0
    contaminated_share: float = 0.0
    contaminated_by: float = 0.0
    contaminated_together: bool = False
    drift_sd: float = 0.0
    bimodal_share: float = 0.0
    bimodal_distance: float = 0.0
    rows: int = 24
    launches: int = 6
    iterations: int = 10


@dataclass(frozen=True)
class Effect:
    """What the new software does. `slowdown`: of the time of one call, so 0.05 is 1.05 times as long and 4.8%
    less throughput; below 0 it is an improvement. It meets one row or all; the factors meet all rows.
    """

    slowdown: float = 0.0
    all_rows: bool = False
    launch_sd_factor: float = 1.0
    iteration_sd_factor: float = 1.0

    @property
    def y(self) -> float:
        return float(np.log1p(self.slowdown))


NO_EFFECT = Effect()


@dataclass(frozen=True)
class Draw:
    """y of one simulated night and of the accepted sessions before it, oldest first.

    `past` [sessions, rows, launches, iterations], `now` [rows, launches, iterations], `pairs` [rows, pairs, 2]
    launch values, reference before candidate. `watched`: the row that is slower, if it is one.
    """

    past: Values
    now: Values
    pairs: Values
    watched: int | None


def draw(noise: Noise, effect: Effect, sessions: int, pairs: int, rng: np.random.Generator) -> Draw:
    """Draws a machine (how noisy each row is), `sessions` accepted sessions and the night to be judged."""
    level = _levels(noise, sessions + 1, rng)
    shape = (noise.rows, noise.launches, noise.iterations)
    past = level[:-1, :, None, None] + _launches(noise, NO_EFFECT, (sessions, *shape), rng)
    shift = np.zeros((noise.rows, 1, 1))
    if effect.slowdown:
        shift[slice(None) if effect.all_rows else 0] = effect.y
    now = level[-1][:, None, None] + shift + _launches(noise, effect, shape, rng)
    paired_shape = (noise.rows, pairs, noise.iterations)
    reference = np.median(_launches(noise, NO_EFFECT, paired_shape, rng), axis=-1)
    candidate = np.median(_launches(noise, effect, paired_shape, rng), axis=-1)
    both = np.stack([reference, candidate + shift[..., 0]], axis=-1) + level[-1][:, None, None]
    return Draw(past, now, both, 0 if effect.slowdown > 0 and not effect.all_rows else None)


def _levels(noise: Noise, sessions: int, rng: np.random.Generator) -> Values:
    """y of each row in each session [sessions, rows], before launches differ."""
    row_sd = noise.session_sd * np.exp(noise.session_sd_spread * rng.standard_normal(noise.rows))
    own = row_sd * rng.standard_normal((sessions, noise.rows))
    night = noise.night_sd * rng.standard_normal((sessions, 1))
    drift = noise.drift_sd * rng.standard_normal((sessions, 1)).cumsum(axis=0)
    return np.asarray(own + night + drift)


def _launches(noise: Noise, effect: Effect, shape: tuple[int, ...], rng: np.random.Generator) -> Values:
    """What launches and iterations add, in an array of `shape` [..., rows, launches, iterations]."""
    of_launch = shape[:-1]
    y = noise.launch_sd * effect.launch_sd_factor * rng.standard_normal(of_launch)
    if noise.contaminated_share:
        hit_shape = (*of_launch[:-2], 1, of_launch[-1]) if noise.contaminated_together else of_launch
        hit = rng.random(hit_shape) < noise.contaminated_share
        y = y + hit * np.log1p(noise.contaminated_by * rng.random(hit_shape))
    if noise.bimodal_share:
        y = y + (rng.random(of_launch) < noise.bimodal_share) * np.log1p(noise.bimodal_distance)
    of_iteration = noise.iteration_sd * effect.iteration_sd_factor * rng.standard_normal(shape)
    return np.asarray(y[..., None] + of_iteration)
