"""Tolerance and margin of a row, in percent, where the row names none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tokgate.session import Row


@dataclass(frozen=True)
class Thresholds:
    """A change within `tolerance_pct` is no regression; PASS needs it shown to be below `margin_pct`."""

    tolerance_pct: float
    margin_pct: float


# A shared CPU differs between quiet minutes by 5 to 11%: a margin below 20% would never be reached there.
_CPU = {"stored": Thresholds(2, 20), "paired": Thresholds(2, 6)}
_GPU = {"stored": Thresholds(1, 6), "paired": Thresholds(1, 3)}
# A first token on a GPU takes few milliseconds, of which the host's scheduling is a visible part.
_GPU_TTFT = {"stored": Thresholds(2, 6), "paired": Thresholds(2, 6)}


def default_thresholds(kind: str, metric: str, paired: bool = False) -> Thresholds:
    """The defaults of a machine kind, "cpu" or "gpu"."""
    mode = "paired" if paired else "stored"
    if kind == "cpu":
        return _CPU[mode]
    return (_GPU_TTFT if metric.endswith("ttft") else _GPU)[mode]


def thresholds(row: Row, kind: str, paired: bool = False) -> Thresholds:
    """The row's own tolerance and margin, each of them by default that of the machine kind."""
    default = default_thresholds(kind, row.metric, paired)
    return Thresholds(
        default.tolerance_pct if row.tolerance_pct is None else row.tolerance_pct,
        default.margin_pct if row.margin_pct is None else row.margin_pct,
    )


def mean_of(limits: Sequence[Thresholds]) -> Thresholds:
    """The mean tolerance and the mean margin."""
    return Thresholds(
        math.fsum(limit.tolerance_pct for limit in limits) / len(limits),
        math.fsum(limit.margin_pct for limit in limits) / len(limits),
    )
