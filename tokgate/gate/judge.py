"""A session against what was accepted on its machine: the verdicts, and which rows to measure again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tokgate import tomltext
from tokgate.gate.accuracy import absolute_faults, compare_accuracy, missing_accuracy, precision_of
from tokgate.gate.fingerprint import changes_since
from tokgate.gate.history import Baselines, accuracy_for
from tokgate.gate.limits import Limit, check_limits
from tokgate.gate.pairedrows import judge_paired_row, paired_night
from tokgate.gate.pairedsuite import in_pairs
from tokgate.gate.reference import Key, Reference, reference
from tokgate.gate.rows import Case, case_of, judge_row, screened, unjudged
from tokgate.gate.ruling import Levels
from tokgate.gate.suite import common_shift, judge_suite
from tokgate.gate.unmeasured import find_unmeasured, missing_scenarios, missing_words, unmeasured_notes
from tokgate.gate.verdict import LimitVerdict, RowVerdict, SessionVerdict, SuiteVerdict, Verdict, outcome_of
from tokgate.session import Row, Session

DEFAULT_LEVELS = Levels()


def judge_session(
    session: Session,
    baselines: Baselines,
    limits: Sequence[Limit] = (),
    levels: Levels = DEFAULT_LEVELS,
) -> SessionVerdict:
    """Judges every row, the suite, the outputs and the limits.

    An accepted session that is judged is not held against itself. Raises InputError if the baselines are of
    another machine, or a limit's unit cannot be converted.
    """
    broken_limits = check_limits(session, limits)
    reasons = invalid_reasons(session)
    if reasons:
        return _invalid(session, reasons, broken_limits)
    held = reference(session, baselines)
    cases = {row.key: case for row in session.rows if (case := case_of(row, held, session.machine_kind)) is not None}
    level = levels.of_row(session.gated_family)
    night = paired_night(session, levels)

    def judged(row: Row) -> RowVerdict:
        if row.pairs:
            return judge_paired_row(row, cases.get(row.key), night, session.machine_kind, level, levels)
        if row.key in cases:
            return judge_row(cases[row.key], level, levels)
        return unjudged(row, Verdict.NO_BASELINE, [held.why_none(row)])

    rows = [judged(row) for row in session.rows]
    rows = [*_without_lost(_with_limits(rows, broken_limits), session, held), *_accuracy_rows(session, held)]
    gated = [case for case in cases.values() if case.row.gated]
    measured = sum(row.gated for row in session.rows)
    suite = judge_suite(gated, measured, session.gated_family, held.prior, level, levels)
    suite = in_pairs(suite, night, session, levels)
    missing = missing_scenarios(session, held)
    unmeasured = find_unmeasured(session, held, missing, limits)
    notes = [*_notes(session, baselines, held, gated, levels), *([missing_words(missing)] if missing else [])]
    return SessionVerdict(
        session.id,
        outcome_of(True, rows, suite, broken_limits),
        tuple(rows),
        suite,
        tuple(broken_limits),
        notes=(*notes, *unmeasured_notes(unmeasured)),
        missing=missing,
        unmeasured=unmeasured,
    )


def suspects(
    session: Session, baselines: Baselines, levels: Levels = DEFAULT_LEVELS, *, mean_too: bool = True
) -> list[Key]:
    """The gated rows to measure again in fresh launches (Row.confirm) before they are judged.

    Fresh launches share the night of the first, so all that they can do is to clear a row that is REGRESSED without
    them. `mean_too`: or the suite's; where these rows' geometric mean is REGRESSED, all that look slow are measured
    again. Of other rows fresh launches would settle nothing.
    """
    if invalid_reasons(session):
        return []
    held = reference(session, baselines)
    level = levels.of_row(session.gated_family)
    every = (case_of(row, held, session.machine_kind) for row in session.rows if row.gated)
    cases = [case for case in every if case is not None]
    suite = judge_suite(cases, len(cases), len(cases), held.prior, level, levels)
    if mean_too and suite.verdict is Verdict.REGRESSED:
        slow = [case for case in cases if screened(case, case.row.launches, levels)]
    else:
        slow = [case for case in cases if judge_row(case, level, levels).verdict is Verdict.REGRESSED]
    return [case.row.key for case in slow]


def to_pair(session: Session, baselines: Baselines, levels: Levels = DEFAULT_LEVELS) -> list[Key]:
    """The gated rows to measure in pairs with a reference (Row.pairs) before they are judged.

    Not only the suspects: whatever the stored comparison leaves open, for want of a baseline or of precision.
    The pairs are judged at a level of their own, so that asking them of more rows costs nothing but time.
    """
    if invalid_reasons(session):
        return []
    held = reference(session, baselines)
    level = levels.of_row(session.gated_family)

    def settled(row: Row) -> bool:
        case = case_of(row, held, session.machine_kind)
        if case is None or screened(case, row.launches, levels):
            return False
        return judge_row(case, level, levels).verdict in (Verdict.PASS, Verdict.IMPROVED)

    return [row.key for row in session.rows if row.gated and not settled(row)]


def invalid_reasons(session: Session) -> list[str]:
    """Why a session must not be believed: its own reasons, nothing measured, or wrong outputs."""
    if not session.valid:
        return list(session.reasons) or ["the session is marked invalid and gives no reason"]
    if not session.rows:
        return ["nothing was measured: the session has no rows"]
    return [fault for entry in session.accuracy for fault in absolute_faults(entry, precision_of(entry.group))]


def _invalid(session: Session, reasons: Sequence[str], limits: Sequence[LimitVerdict]) -> SessionVerdict:
    rows = tuple(unjudged(row, Verdict.INVALID, reasons) for row in session.rows)
    suite = SuiteVerdict(None, ("the session is invalid: not judged",), 0, session.gated_family)
    outcome = outcome_of(False, rows, suite, limits)
    return SessionVerdict(session.id, outcome, rows, suite, tuple(limits), tuple(reasons))


def _with_limits(rows: Iterable[RowVerdict], limits: Sequence[LimitVerdict]) -> list[RowVerdict]:
    """Adds broken limits to the reasons of their rows, and a row for a metric that was not measured."""
    judged = {row.key: row for row in rows}
    for limit in limits:
        key = limit.scenario, limit.metric
        if limit.broken and key in judged:
            judged[key] = replace(judged[key], why=(*judged[key].why, limit.why))
        elif limit.broken:
            judged[key] = RowVerdict(*key, Verdict.INVALID, (limit.why,), gated=False, unit=limit.unit)
    return list(judged.values())


def _without_lost(rows: Iterable[RowVerdict], session: Session, held: Reference) -> list[RowVerdict]:
    """The rows, INVALID those that the accepted sessions gate and this one does not.

    Scenarios that it did not measure at all: see gate/unmeasured.py.
    """
    scenarios = {row.scenario for row in session.rows}
    here = {row.key for row in session.rows if row.gated}
    why = ("gated in the accepted sessions and not in this one: what is not measured cannot pass",)
    judged = {row.key: row for row in rows}
    for key in sorted(held.gated_keys() - here):
        if key[0] in scenarios:
            judged[key] = RowVerdict(*key, Verdict.INVALID, why)
    return list(judged.values())


def _accuracy_rows(session: Session, held: Reference) -> list[RowVerdict]:
    """Dummy weights' figures against their accepted ones; a group that is no longer checked is named too."""
    rows: list[RowVerdict] = []
    groups = {accuracy_for(session, row.scenario, row.group) for row in session.rows}
    for entry in session.accuracy:
        if entry not in groups:
            continue
        rows += compare_accuracy(entry, [accepted for stored in held.entries.values() for accepted in stored])
    lost: dict[str, list[str]] = {}
    for row in session.rows:
        stored = held.entries.get(row.scenario, [])
        newest = stored[-1].accuracy if stored else None
        if newest and accuracy_for(session, row.scenario, row.group) is None:
            lost.setdefault(newest.group, []).append(row.scenario)
    for group, scenarios in lost.items():
        checked = [entry for name in set(scenarios) for entry in held.entries[name] if entry.accuracy]
        rows.append(missing_accuracy(group, checked))
    return rows


def _notes(session: Session, baselines: Baselines, held: Reference, cases: Sequence[Case], levels: Levels) -> list[str]:
    notes = []
    if session.given:
        notes.append(
            f"measured with {tomltext.pairs(session.given)}, which the rows' ids do not say: never to be accepted"
        )
    shift = common_shift(cases, levels)
    # Sessions of other matrices are of other models, and their packages may be others too.
    own = {row.scenario for row in session.rows}
    changed = changes_since((entry for name in own for entry in held.entries.get(name, ())), session)
    if shift:
        notes.append(str(shift))
    if changed:
        notes.append("changed since the accepted sessions: " + ", ".join(map(str, changed)))
    if any(entry.id == session.id for entry in baselines):
        notes.append("this session is itself accepted; it is held against the others")
    return notes
