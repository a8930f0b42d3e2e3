"""A session's verdict in one sentence, and the reasons of an invalid one, each told once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokgate.gate.scale import in_words
from tokgate.gate.verdict import Outcome, RowVerdict, Verdict
from tokgate.report.html.data import SessionFacts, model_of
from tokgate.report.html.figures.base import metric_name
from tokgate.report.words import count

_UNSETTLED = {
    Verdict.INVALID: ("cannot be believed", "cannot be believed"),
    Verdict.NO_BASELINE: ("has no accepted session", "have no accepted session"),
    Verdict.INCONCLUSIVE: ("is inconclusive", "are inconclusive"),
    Verdict.DRIFT: ("drifted with the host", "drifted with the host"),
}
# Where a cause's words end and its figures or its remedy begin.
_ASIDE = re.compile(r" \(|: |; ")


def sentence(facts: SessionFacts) -> str:
    """The verdict, as one would say it."""
    verdict = facts.verdict
    gated = [row for row in verdict.rows if row.gated]
    rows = count(len(gated), "gated row")
    if verdict.outcome is Outcome.INVALID:
        return _unbelievable(facts, gated)
    if verdict.outcome is Outcome.FAIL:
        return _slower(facts, gated)
    if verdict.outcome is Outcome.NO_BASELINE:
        without = sum(row.verdict is Verdict.NO_BASELINE for row in gated)
        held = sum(row.verdict in (Verdict.PASS, Verdict.IMPROVED) for row in gated)
        if held and without:
            told = f"{held} of {rows} hold against the accepted sessions"
            return f"Nothing is known to be slower: {told}, {', '.join(_unsettled(gated))}."
        return f"Nothing can be said of a change: {without} of {rows} have no accepted session to be held against."
    if verdict.outcome is Outcome.INCONCLUSIVE:
        open_rows = sum(row.verdict is Verdict.INCONCLUSIVE for row in gated)
        return f"No slowdown is shown, and none is ruled out: {open_rows} of {rows} could not be settled."
    better = sum(row.verdict is Verdict.IMPROVED for row in gated)
    drifted = sum(row.verdict is Verdict.DRIFT for row in gated)
    also = [f"{better} are faster" if better else "", f"{drifted} drifted with the host" if drifted else ""]
    also += [f"{len(verdict.blind)} would miss a change as large as their margin"] if verdict.blind else []
    said = ", ".join(filter(None, also))
    return f"Nothing got slower: {rows} hold against the accepted sessions{f', {said}' if said else ''}."


def _unbelievable(facts: SessionFacts, gated: Sequence[RowVerdict]) -> str:
    invalid = sum(row.verdict is Verdict.INVALID for row in gated)
    what = "this session" if invalid in (0, len(gated)) else f"{invalid} of {count(len(gated), 'gated row')}"
    found = reasons(facts)
    why = _in_short(facts, found[0]) if found else "see below"
    more = f"; and {count(len(found) - 1, 'more reason')}" if len(found) > 1 else ""
    return f"The figures of {what} cannot be believed: {why}{more}."


def _in_short(facts: SessionFacts, reason: Reason) -> str:
    """Where, and what lies behind it, without the figures and remedies that the finding has."""
    subject, rest = reason.told[0]
    if not subject:
        return reason.clause
    many = len(reason.told) > 1
    where = f"{len(reason.told)} scenarios" if many else _short(facts, subject)
    cause = _ASIDE.split(rest)[0]
    return f"{reason.clause} in {where}{', in the first' if many and cause else ''}{f' as {cause}' if cause else ''}"


def _slower(facts: SessionFacts, gated: Sequence[RowVerdict]) -> str:
    slower = [row for row in gated if row.verdict is Verdict.REGRESSED]
    broken = [limit for limit in facts.verdict.limits if limit.broken]
    said = []
    if slower:
        worst = max(slower, key=lambda row: row.change_pct or 0.0)
        change = in_words(worst.change_pct) if worst.change_pct is not None else "worse"
        what = f"{_short(facts, worst.scenario)} {metric_name(worst.metric)}"
        most = "the worst is " if len(slower) > 1 else ""
        said.append(f"{len(slower)} of {count(len(gated), 'gated row')} got slower: {most}{what}, {change}")
    if broken:
        said.append(f"{count(len(broken), 'limit')} broken: {broken[0].scenario} {broken[0].why}")
    if not said:
        said.append("All rows together got slower: " + "; ".join(facts.verdict.suite.why))
    return "; ".join([*said, *_unsettled(gated)]) + "."


def _unsettled(gated: Sequence[RowVerdict]) -> Iterator[str]:
    """Rows of which nothing can be said, beside those of which something was."""
    for verdict, words in _UNSETTLED.items():
        found = sum(row.verdict is verdict for row in gated)
        if found:
            yield f"{found} {words[found > 1]}"


def _short(facts: SessionFacts, scenario: str) -> str:
    """Without its model, if all are of one."""
    model = model_of(scenario)
    alone = {model_of(row.group) for row in facts.rows} <= {model}
    return scenario.removeprefix(f"{model}.") if alone else scenario


@dataclass(frozen=True)
class Reason:
    """Why a session is invalid. `told`: (scenario, the rest of the reason), or ("", rest) where all of it is meant."""

    clause: str
    told: list[tuple[str, str]]


def reasons(facts: SessionFacts) -> list[Reason]:
    """What is told of several scenarios stands once; what is told of the whole session stands first."""
    told: dict[str, list[tuple[str, str]]] = {}
    for reason in facts.verdict.reasons:
        subject, colon, words = reason.partition(": ")
        if not colon or " " in subject or "." not in subject:
            subject, words = "", reason
        clause, _, rest = words.partition("; ")
        told.setdefault(clause, []).append((subject, rest))
    found = [Reason(clause, told_of) for clause, told_of in told.items()]
    return sorted(found, key=lambda reason: bool(reason.told[0][0]))
