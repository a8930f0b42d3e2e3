"""The verdict on one row, and its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokgate.gate.comparison import Comparison, compare, sessions_to_settle
from tokgate.gate.defaults import Thresholds, thresholds
from tokgate.gate.reference import Past, Reference
from tokgate.gate.ruling import ENOUGH_SESSIONS, PROVISIONAL_PCT, Levels, Ruling, is_suspect, rule_stored
from tokgate.gate.scale import (
    change_pct,
    delta_of,
    harm,
    in_words,
    launch_values,
    session_value,
    signed_text,
    size_text,
    value_of,
)
from tokgate.gate.variance import NO_PRIOR, Prior
from tokgate.gate.verdict import RowVerdict, Verdict
from tokgate.session import Row

VETO = "slower in the first launches, not in the fresh ones"
ONE_STAGE = "judged in one stage: no fresh launches were made to confirm it"


@dataclass(frozen=True)
class Case:
    """A row with what it is held against; `past` is not empty."""

    row: Row
    past: list[Past]
    thresholds: Thresholds
    prior: Prior
    comparison: Comparison

    @property
    def newest(self) -> Past:
        return self.past[-1]


def ys_of(row: Row, launches: Sequence[Sequence[float]]) -> list[float]:
    return [harm(value, row.better) for value in launch_values(launches)]


def case_of(row: Row, reference: Reference, kind: str) -> Case | None:
    """The row's case, or None where nothing accepted is comparable.

    Ungated rows (peaks of memory, tail percentiles) are not like the others: they have their own variance.
    """
    past = reference.past(row)
    if not past:
        return None
    prior = reference.prior_of(row) if row.gated else NO_PRIOR
    comparison = compare(ys_of(row, row.launches), [item.ys for item in past], prior)
    return Case(row, past, thresholds(row, kind), prior, comparison)


def screened(case: Case, launches: Sequence[Sequence[float]], levels: Levels) -> bool:
    """Whether these launches alone make the row a suspect."""
    comparison = compare(ys_of(case.row, launches), [item.ys for item in case.past], case.prior)
    return is_suspect(comparison, case.row.better, case.thresholds, levels)


def judge_row(case: Case, level: float, levels: Levels) -> RowVerdict:
    """REGRESSED stands only if the row's fresh launches, where there are any, are suspect as well."""
    row, comparison = case.row, case.comparison
    ruling = rule_stored(comparison, row.better, case.thresholds, level, levels)
    verdict, confirmed = ruling.verdict, None
    if verdict is Verdict.REGRESSED and row.confirm:
        confirmed = screened(case, row.confirm, levels)
        verdict = Verdict.REGRESSED if confirmed else Verdict.INCONCLUSIVE
    mde_pct = None
    if row.gated and not comparison.provisional:
        tolerance = delta_of(case.thresholds.tolerance_pct, row.better)
        mde_pct = change_pct(comparison.minimum_detectable(tolerance, level, levels.power), row.better)
    slow = slow_launches(case, case.thresholds.margin_pct)
    why = [_seen(case), *_because(case, ruling, confirmed, level, levels)]
    if 0 < slow <= len(row.launches) // 2 and verdict is not Verdict.REGRESSED:
        why.append(
            f"slow in {slow} of {len(row.launches)} launches, by more than {case.thresholds.margin_pct:g}%; "
            "reported, not gated"
        )
    if mde_pct is not None and mde_pct > case.thresholds.margin_pct:
        why.append(blind_below(mde_pct, case.thresholds))
    return RowVerdict(
        scenario=row.scenario,
        metric=row.metric,
        verdict=verdict,
        why=tuple(why),
        gated=row.gated,
        unit=row.unit,
        better=row.better,
        change_pct=change_pct(comparison.delta, row.better),
        ci_pct=ruling.ci_pct,
        mde_pct=mde_pct,
        tolerance_pct=case.thresholds.tolerance_pct,
        margin_pct=case.thresholds.margin_pct,
        baseline_value=value_of(comparison.baseline, row.better),
        current_value=session_value(row.launches, row.better),
        sessions=comparison.sessions,
        last_session=case.newest.entry.id,
        last_started=case.newest.entry.started,
        slow_launches=slow,
        launches=len(row.launches),
        confirmed=confirmed,
    )


def unjudged(row: Row, verdict: Verdict, why: Sequence[str]) -> RowVerdict:
    """A row that was measured and could not be compared."""
    return RowVerdict(
        row.scenario,
        row.metric,
        verdict,
        tuple(why),
        gated=row.gated,
        unit=row.unit,
        better=row.better,
        current_value=session_value(row.launches, row.better),
        launches=len(row.launches),
    )


def slow_launches(case: Case, beyond_pct: float) -> int:
    """How many launches are slower than the accepted mean by more than `beyond_pct`."""
    ys = ys_of(case.row, case.row.launches)
    return sum(change_pct(y - case.comparison.baseline, case.row.better) > beyond_pct for y in ys)


def _seen(case: Case) -> str:
    row, comparison, newest = case.row, case.comparison, case.newest.entry
    change = change_pct(comparison.delta, row.better)
    sessions = f"{comparison.sessions} accepted session{'s' if comparison.sessions > 1 else ''}"
    return (
        f"{value_of(comparison.current, row.better):.4g} {row.unit}, {in_words(change)} "
        f"than the {value_of(comparison.baseline, row.better):.4g} of "
        f"{sessions} (newest {newest.id}, {newest.started[:10]})"
    )


def _because(case: Case, ruling: Ruling, confirmed: bool | None, level: float, levels: Levels) -> list[str]:
    """What decided, and what to do."""
    tolerance_pct, margin_pct = case.thresholds.tolerance_pct, case.thresholds.margin_pct
    gate = [] if case.row.gated else ["reported, not gated"]
    if ruling.verdict is Verdict.REGRESSED:
        return [*_regressed(case, ruling, confirmed), *gate]
    if ruling.ci_pct is None:
        more = ENOUGH_SESSIONS - case.comparison.sessions
        return [f"provisional: 1 accepted session; accept {more} more", *gate]
    upper_pct = ruling.ci_pct[1]
    if ruling.verdict is Verdict.IMPROVED:
        remedy = "accept the session to hold later ones against it"
        return [f"better by at least {size_text(upper_pct)}, tolerance {tolerance_pct:g}%; {remedy}", *gate]
    if ruling.verdict is Verdict.PASS:
        return [f"no regression shown: the change is below {signed_text(upper_pct)}%, margin {margin_pct:g}%", *gate]
    undecided = undecided_between(ruling.ci_pct, case.thresholds)
    return [undecided, _remedy(case, level, levels), *gate]


def _regressed(case: Case, ruling: Ruling, confirmed: bool | None) -> list[str]:
    if ruling.ci_pct is None or ruling.ci_pct[0] <= case.thresholds.tolerance_pct:
        count = case.comparison.sessions
        few = f"{count} accepted session{'s' if count > 1 else ''}"
        seen = f"provisional: {few}, and slower than {'each' if count > 1 else 'it'} by more than {PROVISIONAL_PCT:g}%"
    else:
        seen = f"at least {size_text(ruling.ci_pct[0])} worse, tolerance {case.thresholds.tolerance_pct:g}%"
    if confirmed is False:
        return [f"{seen}, but {VETO}: what slowed it has gone; measure it again"]
    stage = "fresh launches are as slow" if confirmed else ONE_STAGE
    return [seen, stage, "find what changed; if it is meant, tokgate accept --replace says so"]


def blind_below(mde_pct: float, limits: Thresholds) -> str:
    return f"blind: a change below {size_text(mde_pct)} would probably go unseen, margin {limits.margin_pct:g}%"


def undecided_between(ci_pct: tuple[float, float], limits: Thresholds) -> str:
    """Why an interval settles nothing."""
    return (
        f"between {in_words(ci_pct[0])} and {in_words(ci_pct[1])}: neither beyond the tolerance of "
        f"{limits.tolerance_pct:g}% nor within the margin of {limits.margin_pct:g}%"
    )


def _remedy(case: Case, level: float, levels: Levels) -> str:
    better = case.row.better
    tolerance = delta_of(case.thresholds.tolerance_pct, better)
    margin = delta_of(case.thresholds.margin_pct, better)
    more = sessions_to_settle(case.comparison, tolerance, margin, level, levels.no_regression)
    if more is None:
        return "no number of accepted sessions would settle it; compare in pairs"
    return f"{more} more accepted session{'s' if more > 1 else ''} would settle it, if nothing else changes"
