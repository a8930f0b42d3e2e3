"""The verdict on a row that was measured in pairs, and its words.

All of the night's error is left for the pairs: a row reaches them whatever the stored comparison said, so that
one decides nothing here. It is split over the rows in pairs alone, and judged once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tokgate.gate.defaults import Thresholds, thresholds
from tokgate.gate.paired import (
    MIN_PAIRS,
    PairedComparison,
    compare_differences,
    compare_pairs,
    differences,
    paired_prior,
    pairs_to_settle,
)
from tokgate.gate.rows import Case, blind_below, undecided_between
from tokgate.gate.ruling import Levels, Ruling, rule, rule_stored
from tokgate.gate.scale import change_pct, delta_of, in_words, signed_text, size_text, value_of
from tokgate.gate.variance import ENOUGH_ROWS, NO_PRIOR, Prior
from tokgate.gate.verdict import RowVerdict, Verdict
from tokgate.session import Row, Session


@dataclass(frozen=True)
class PairedNight:
    """What the rows of a session that were measured in pairs share: what is known of their noise, and their level.

    `priors`: by metric.
    """

    rows: tuple[Row, ...]
    priors: Mapping[str, Prior]
    level: float

    @property
    def aligned(self) -> bool:
        """Whether all rows have the same pairs, so that they can be averaged pair by pair."""
        return len({len(row.pairs or []) for row in self.rows}) == 1

    def mean(self) -> PairedComparison | None:
        """The geometric mean of the paired rows, pair by pair; None below MIN_PAIRS or where pairs differ."""
        if not self.rows or not self.aligned or len(self.rows[0].pairs or []) < MIN_PAIRS:
            return None
        columns = zip(*(differences(row) for row in self.rows), strict=True)
        return compare_differences([sum(column) / len(column) for column in columns], NO_PRIOR)


def paired_night(session: Session, levels: Levels) -> PairedNight:
    """The gated rows in pairs; the level is split over them and, of two or more, their mean."""
    rows = tuple(row for row in session.rows if row.gated and row.pairs)
    tests = len(rows) + (1 if len(rows) > 1 else 0)
    priors = {}
    for metric in {row.metric for row in rows}:
        alike = [row for row in rows if row.metric == metric]
        priors[metric] = paired_prior(alike if len(alike) >= ENOUGH_ROWS else rows)
    return PairedNight(rows, priors, levels.night / max(tests, 1))


def judge_paired_row(
    row: Row, case: Case | None, night: PairedNight, kind: str, stored_level: float, levels: Levels
) -> RowVerdict:
    """The verdict by the row's pairs; `case` is its stored comparison, where there is one."""
    limits = thresholds(row, kind, paired=True)
    pairs = len(row.pairs or [])
    verdict = RowVerdict(
        row.scenario,
        row.metric,
        Verdict.INCONCLUSIVE,
        (f"{pairs} of at least {MIN_PAIRS} pairs; 12 are usual",),
        gated=row.gated,
        unit=row.unit,
        better=row.better,
        tolerance_pct=limits.tolerance_pct,
        margin_pct=limits.margin_pct,
        sessions=case.comparison.sessions if case else 0,
        last_session=case.newest.entry.id if case else None,
        last_started=case.newest.entry.started if case else None,
        launches=len(row.launches),
        pairs=pairs,
    )
    if pairs < MIN_PAIRS:
        return verdict
    comparison = compare_pairs(row, night.priors[row.metric] if row.gated else NO_PRIOR)
    ruling = rule(comparison, row.better, limits, night.level, levels)
    stored_pct = _stored_slowdown_pct(row, case, kind, stored_level, levels)
    ruled = ruling.verdict
    if stored_pct is not None and ruled in (Verdict.PASS, Verdict.IMPROVED):
        ruled = Verdict.DRIFT
    tolerance = delta_of(limits.tolerance_pct, row.better)
    mde_pct = change_pct(comparison.minimum_detectable(tolerance, night.level, levels.power), row.better)
    why = [_seen(row, comparison), *_because(row, comparison, ruling, limits, night.level, levels)]
    if stored_pct is not None:
        why += [_of_stored(stored_pct, ruled)]
    if row.gated and mde_pct > limits.margin_pct:
        why.append(blind_below(mde_pct, limits))
    if not row.gated:
        why.append("reported, not gated")
    return replace(
        verdict,
        verdict=ruled,
        why=tuple(why),
        change_pct=change_pct(comparison.delta, row.better),
        ci_pct=ruling.ci_pct,
        mde_pct=mde_pct if row.gated else None,
        baseline_value=value_of(comparison.reference, row.better),
        current_value=value_of(comparison.candidate, row.better),
    )


def _stored_slowdown_pct(row: Row, case: Case | None, kind: str, level: float, levels: Levels) -> float | None:
    """By how much the row is slower than the accepted sessions, where the stored comparison calls that so."""
    if case is None:
        return None
    stored = rule_stored(case.comparison, row.better, thresholds(row, kind), level, levels)
    return change_pct(case.comparison.delta, row.better) if stored.verdict is Verdict.REGRESSED else None


def _seen(row: Row, comparison: PairedComparison) -> str:
    change = change_pct(comparison.delta, row.better)
    return (
        f"{value_of(comparison.candidate, row.better):.4g} {row.unit}, the reference "
        f"{value_of(comparison.reference, row.better):.4g}; pair by pair {in_words(change)}, "
        f"in {comparison.pairs} interleaved pairs ({comparison.kept} between the trimmed ends)"
    )


def _of_stored(stored_pct: float, verdict: Verdict) -> str:
    slower = f"slower than the accepted sessions by {size_text(stored_pct)}"
    if verdict is Verdict.DRIFT:
        return f"{slower}, but the reference is as slow: the host moved, not the code"
    return f"{slower} as well"


def _because(
    row: Row, comparison: PairedComparison, ruling: Ruling, limits: Thresholds, level: float, levels: Levels
) -> Sequence[str]:
    assert ruling.ci_pct is not None
    lower_pct, upper_pct = ruling.ci_pct
    if ruling.verdict is Verdict.REGRESSED:
        return [f"at least {size_text(lower_pct)} worse, tolerance {limits.tolerance_pct:g}%", "find what changed"]
    if ruling.verdict is Verdict.IMPROVED:
        return [f"better by at least {size_text(upper_pct)}, tolerance {limits.tolerance_pct:g}%"]
    if ruling.verdict is Verdict.PASS:
        return [f"no regression shown: the change is below {signed_text(upper_pct)}%, margin {limits.margin_pct:g}%"]
    tolerance = delta_of(limits.tolerance_pct, row.better)
    margin = delta_of(limits.margin_pct, row.better)
    more = pairs_to_settle(comparison, tolerance, margin, level, levels.no_regression)
    remedy = (
        "no number of pairs up to 60 would settle it"
        if more is None
        else f"{more} more pair{'s' if more > 1 else ''} would settle it, if nothing else changes"
    )
    return [
        undecided_between(ruling.ci_pct, limits),
        remedy,
    ]
