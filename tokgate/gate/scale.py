"""From measured values to the scale on which the gate compares: y = log(value), larger is worse.

On that scale a slowdown is the same number for a throughput and for a duration, and noise, which is
relative, is the same size for fast and slow rows. What is printed goes back through `change_pct`, so a
printed figure compares exactly with the tolerance that decided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from tokgate.session import Better

# A factor of 22,000: beyond it a bound says nothing, and exp() would overflow.
_LARGEST_DELTA = 10.0
# What is printed as it is; of two or three sessions an interval may reach anywhere, and its end is no figure.
_MOST_TOLD_PCT = 1000.0


def harm(value: float, better: Better) -> float:
    """y of one value: its logarithm, signed so that larger is worse."""
    return -math.log(value) if better == "higher" else math.log(value)


def value_of(y: float, better: Better) -> float:
    """The value whose `harm` is y."""
    return math.exp(-y) if better == "higher" else math.exp(y)


def change_pct(delta: float, better: Better) -> float:
    """A difference of y in percent of the older value, positive when worse, for either direction."""
    delta = max(-_LARGEST_DELTA, min(_LARGEST_DELTA, delta))
    return -100.0 * math.expm1(-delta) if better == "higher" else 100.0 * math.expm1(delta)


def in_words(pct: float) -> str:
    """A change in percent as people say it: "3.1% worse", "0.4% better"."""
    return f"{size_text(pct)} {'worse' if pct >= 0 else 'better'}"


def size_text(pct: float, digits: int = 1) -> str:
    """How large a change is, without its sign: "3.1%", "over 1000%"."""
    told = abs(pct) < _MOST_TOLD_PCT
    return f"{abs(pct):.{digits}f}%" if told else f"over {_MOST_TOLD_PCT:.0f}%"


def signed_text(pct: float, digits: int = 1) -> str:
    """A change or the end of an interval with its sign, and without the %: "+3.1", "<-1000"."""
    if abs(pct) < _MOST_TOLD_PCT:
        return f"{pct:+.{digits}f}"
    return f"{'>' if pct > 0 else '<'}{math.copysign(_MOST_TOLD_PCT, pct):+.0f}"


def interval_text(ci_pct: tuple[float, float], digits: int = 1) -> str:
    return f"[{signed_text(ci_pct[0], digits)}, {signed_text(ci_pct[1], digits)}]"


def delta_of(pct: float, better: Better) -> float:
    """The inverse of `change_pct`; `pct` is below 100."""
    return -math.log1p(-pct / 100.0) if better == "higher" else math.log1p(pct / 100.0)


def launch_values(launches: Sequence[Sequence[float]]) -> list[float]:
    """One value a launch: the median of its iterations. Iterations are not independent samples."""
    return [float(median(launch)) for launch in launches]


def fastest_half(ys: Sequence[float]) -> float:
    """Session value on the y scale: the mean of the best ceil(L/2) of L launches.

    What disturbs a launch only slows it, so the slower half tells of the disturbance, not of the code.
    """
    best = sorted(ys)[: (len(ys) + 1) // 2]
    return math.fsum(best) / len(best)


def session_value(launches: Sequence[Sequence[float]], better: Better) -> float:
    """The session value in the row's own unit."""
    values = launch_values(launches)
    if len(values) == 1:
        return values[0]
    return value_of(fastest_half([harm(value, better) for value in values]), better)
