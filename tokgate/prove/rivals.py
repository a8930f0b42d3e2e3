"""What others would say of the same night: the newest accepted session against the new one, row by row.

None of them knows of sessions, so none can use more than one. The two tests get the night's level split over
the rows, as tokgate splits it; what is left is what they take for independent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pytest_benchmark.stats import Stats
from pytest_benchmark.utils import PercentageRegressionCheck
from scipy.stats import mannwhitneyu, ttest_ind

from tokgate.gate.reference import Key
from tokgate.prove.noise import Values
from tokgate.session import Row, Session

NIGHT_LEVEL = 0.01
MEDIAN_PCT = 5.0

# From the seconds of an accepted session and of the new one to which rows fire.
Rival = Callable[[Values, Values], list[bool]]


@dataclass(frozen=True)
class Times:
    """The gated rows `keys` of two sessions as seconds [rows, launches, iterations]."""

    keys: tuple[Key, ...]
    before: Values
    now: Values

    def fired(self, rival: Rival) -> set[Key]:
        """The rows that `rival` calls slower."""
        return {key for key, alarm in zip(self.keys, rival(self.before, self.now), strict=True) if alarm}


def times_of(accepted: Session, now: Session) -> Times:
    """The rows that both sessions hold; they have as many launches and iterations in both."""
    before = {row.key: row for row in accepted.rows}
    rows = [row for row in now.rows if row.gated and row.key in before]
    keys = tuple(row.key for row in rows)
    return Times(keys, _seconds([before[key] for key in keys]), _seconds(rows))


def compare_fail_median(before: Values, now: Values) -> list[bool]:
    """pytest-benchmark's `--benchmark-compare-fail=median:5%`: its own check on its own statistics."""
    check = PercentageRegressionCheck("median", MEDIAN_PCT)
    return [
        check.fails(_stats(new), _stats(old)) is not None
        for old, new in zip(_pooled(before).tolist(), _pooled(now).tolist(), strict=True)
    ]


def mann_whitney(before: Values, now: Values) -> list[bool]:
    """One-sided on all iterations, as if each were independent of the others of its launch and night."""
    found = mannwhitneyu(_pooled(now), _pooled(before), alternative="greater", method="asymptotic", axis=1)
    return _below(np.asarray(found.pvalue))


def welch(before: Values, now: Values) -> list[bool]:
    """One-sided on launch values (medians of iterations), as if launches of two nights were alike."""
    found = ttest_ind(np.median(now, axis=2), np.median(before, axis=2), axis=1, equal_var=False, alternative="greater")
    return _below(np.asarray(found.pvalue))


def _below(p: Values) -> list[bool]:
    return [bool(value < NIGHT_LEVEL / len(p)) for value in p]


def _stats(seconds: Sequence[float]) -> dict[str, float]:
    stats = Stats()
    stats.data = list(seconds)
    return {"median": stats.median}


def _pooled(seconds: Values) -> Values:
    return seconds.reshape(len(seconds), -1)


def _seconds(rows: Sequence[Row]) -> Values:
    """Values [rows, launches, iterations] as times: larger is slower. Of a rate, seconds per unit of work."""
    rates = np.array([row.better == "higher" for row in rows])[:, None, None]
    values = np.array([row.launches for row in rows], dtype=np.float64)
    return np.where(rates, 1.0 / values, values)
