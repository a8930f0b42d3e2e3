"""The suite's row: the geometric mean of the gated rows, and whether they moved together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tokgate.gate.comparison import Comparison, compare_values
from tokgate.gate.defaults import Thresholds, mean_of
from tokgate.gate.rows import ONE_STAGE, VETO, Case, ys_of
from tokgate.gate.ruling import Levels, Ruling, is_suspect, rule
from tokgate.gate.scale import change_pct, delta_of, fastest_half, signed_text, size_text
from tokgate.gate.variance import Prior
from tokgate.gate.verdict import SuiteVerdict, Verdict
from tokgate.session import Better, Row

# All rows moved together if so many of them moved the same way by at least half the common shift.
_TOGETHER = 0.8


@dataclass(frozen=True)
class CommonShift:
    """`together` of `rows` gated rows moved the way of their median, `change_pct` (positive when worse)."""

    change_pct: float
    together: int
    rows: int

    def __str__(self) -> str:
        word = "slower" if self.change_pct > 0 else "faster"
        return (
            f"everything moved by {size_text(self.change_pct)} ({self.together} of {self.rows} gated rows are {word} "
            "together): host or shared software"
        )


def judge_suite(
    cases: Sequence[Case], measured: int, family: int, prior: Prior, level: float, levels: Levels
) -> SuiteVerdict:
    """Judges the mean of y over gated rows as one more row.

    `cases`: gated rows with accepted sessions; `measured` of `family` gated rows were measured. The rows
    differ in their level, so a part of them has a mean of its own that no accepted session has. The variance
    is the mean's own moderated by that of single rows, which is larger: conservative.
    """
    if measured < family:
        return SuiteVerdict(None, (f"{measured} of {family} rows measured: not judged",), measured, family)
    cases = [case for case in cases if not case.comparison.provisional]
    ids = set.intersection(*({item.entry.id for item in case.past} for case in cases)) if cases else set()
    if len(cases) < 2 or len(ids) < 2:
        why = f"{len(cases)} rows share {len(ids)} accepted sessions; 2 of each are needed: not judged"
        return SuiteVerdict(None, (why,), len(cases), family)
    comparison = _compare(cases, ids, prior, confirm=False)
    better = direction([case.row for case in cases])
    limits = mean_of([case.thresholds for case in cases])
    ruling = rule(comparison, better, limits, level, levels)
    verdict = ruling.verdict
    seen = f"geometric mean of {len(cases)} rows against {comparison.sessions} accepted sessions"
    reasons = [f"{seen}: {bounds(ruling, limits)}"]
    if verdict is Verdict.REGRESSED:
        if not any(case.row.confirm for case in cases):
            reasons.append(ONE_STAGE)
        elif not is_suspect(_compare(cases, ids, prior, confirm=True), better, limits, levels):
            verdict = Verdict.INCONCLUSIVE
            reasons.append(VETO)
    mde = comparison.minimum_detectable(delta_of(limits.tolerance_pct, better), level, levels.power)
    return SuiteVerdict(
        verdict,
        tuple(reasons),
        len(cases),
        family,
        change_pct(comparison.delta, better),
        ruling.ci_pct,
        change_pct(mde, better),
        limits.tolerance_pct,
        limits.margin_pct,
        comparison.sessions,
    )


def common_shift(cases: Sequence[Case], levels: Levels) -> CommonShift | None:
    """Tells a night on which everything moved from one row that moved; None where it did not.

    The middle row's change has to be beyond half the tolerance, and most rows have to share it.
    """
    cases = [case for case in cases if not case.comparison.provisional]
    if len(cases) < 3:
        return None
    deltas = [case.comparison.delta for case in cases]
    middle = median(deltas)
    together = sum(delta * math.copysign(1, middle) > abs(middle) / 2 for delta in deltas)
    better = direction([case.row for case in cases])
    shift_pct = change_pct(middle, better)
    if abs(shift_pct) <= mean_of([case.thresholds for case in cases]).tolerance_pct / 2 or together < _TOGETHER * len(
        cases
    ):
        return None
    return CommonShift(shift_pct, together, len(cases))


def _compare(cases: Sequence[Case], ids: set[str], prior: Prior, confirm: bool) -> Comparison:
    now: list[float] = []
    past: dict[str, list[float]] = {name: [] for name in ids}
    for case in cases:
        launches = case.row.confirm if confirm and case.row.confirm else case.row.launches
        count = min(len(launches), *(len(item.ys) for item in case.past))
        now.append(fastest_half(ys_of(case.row, launches)[:count]))
        for item in case.past:
            if item.entry.id in ids:
                past[item.entry.id].append(fastest_half(item.ys[:count]))
    means = [math.fsum(past[name]) / len(cases) for name in sorted(ids)]
    return compare_values(math.fsum(now) / len(cases), means, prior)


def bounds(ruling: Ruling, limits: Thresholds) -> str:
    """A ruling's interval beside what it was held against."""
    lower_pct, upper_pct = ruling.ci_pct or (math.nan, math.nan)
    return (
        f"{signed_text(lower_pct)}% to {signed_text(upper_pct)}% (positive is worse), "
        f"tolerance {limits.tolerance_pct:.3g}%, margin {limits.margin_pct:.3g}%"
    )


def direction(rows: Sequence[Row]) -> Better:
    """Percent of the old rate if every row is a rate, else percent of the old time."""
    return "higher" if all(row.better == "higher" for row in rows) else "lower"
