"""The first screen of a session: its verdict in a sentence, what failed and why, what could not have been seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tokgate.gate.explain import PARTS
from tokgate.gate.verdict import Outcome, RowVerdict, SessionVerdict, Verdict
from tokgate.report.html.blocks import Facts, Finding, Summary
from tokgate.report.html.data import SessionFacts, short_names
from tokgate.report.html.figures.base import metric_name
from tokgate.report.words import reservations, what_moved

_WORDS = {
    Outcome.PASS: ("PASS", Verdict.PASS),
    Outcome.FAIL: ("FAIL", Verdict.REGRESSED),
    Outcome.INCONCLUSIVE: ("INCONCLUSIVE", Verdict.INCONCLUSIVE),
    Outcome.INVALID: ("INVALID", Verdict.INVALID),
    Outcome.NO_BASELINE: ("NO BASELINE", Verdict.NO_BASELINE),
}
_MOST_SHOWN = 12


def summary(facts: SessionFacts) -> Summary:
    verdict, session = facts.verdict, facts.session
    word, tone = _WORDS[verdict.outcome]
    return Summary(
        tone=str(tone),
        verdict=word,
        sentence=sentence(facts),
        where=f"{session.machine_id} · profile {session.profile} · {facts.started} · {facts.file}",
        findings=[*_few(list(_failed(facts)))],
        blind=list(_blind(verdict)),
        notes=list(verdict.notes),
        facts=provenance(facts),
    )


def sentence(facts: SessionFacts) -> str:
    """The verdict, as one would say it."""
    verdict = facts.verdict
    gated = [row for row in verdict.rows if row.gated]
    rows = count(len(gated), "gated row")
    if verdict.outcome is Outcome.INVALID:
        invalid = sum(row.verdict is Verdict.INVALID for row in gated)
        what = "this session" if invalid in (0, len(gated)) else f"{invalid} of {rows}"
        reasons = _reasons(facts)
        why = reasons[0].title if reasons else "see below"
        more = f", and {count(len(reasons) - 1, 'more reason')}" if len(reasons) > 1 else ""
        return f"The figures of {what} cannot be believed: {why}{more}."
    if verdict.outcome is Outcome.FAIL:
        return _slower(facts, gated)
    if verdict.outcome is Outcome.NO_BASELINE:
        without = sum(row.verdict is Verdict.NO_BASELINE for row in gated)
        return f"Nothing can be said of a change: {without} of {rows} have no accepted session to be held against."
    if verdict.outcome is Outcome.INCONCLUSIVE:
        open_rows = sum(row.verdict is Verdict.INCONCLUSIVE for row in gated)
        return f"No slowdown is shown, and none is ruled out: {open_rows} of {rows} could not be settled."
    better = sum(row.verdict is Verdict.IMPROVED for row in gated)
    drifted = sum(row.verdict is Verdict.DRIFT for row in gated)
    also = [f"{better} are faster" if better else "", f"{drifted} drifted with the host" if drifted else ""]
    said = ", ".join(filter(None, also))
    return f"Nothing got slower: {rows} hold against the accepted sessions{f', {said}' if said else ''}."


def _slower(facts: SessionFacts, gated: Sequence[RowVerdict]) -> str:
    slower = [row for row in gated if row.verdict is Verdict.REGRESSED]
    broken = [limit for limit in facts.verdict.limits if limit.broken]
    said = []
    if slower:
        worst = max(slower, key=lambda row: row.change_pct or 0.0)
        change = f"{worst.change_pct:.1f}% worse" if worst.change_pct is not None else "worse"
        what = f"{_short(facts, worst.scenario)} {metric_name(worst.metric)}"
        most = "the worst is " if len(slower) > 1 else ""
        said.append(f"{len(slower)} of {count(len(gated), 'gated row')} got slower: {most}{what}, {change}")
    if broken:
        said.append(f"{count(len(broken), 'limit')} broken: {broken[0].scenario} {broken[0].why}")
    if not said:
        said.append("All rows together got slower: " + "; ".join(facts.verdict.suite.why))
    return "; ".join(said) + "."


def _short(facts: SessionFacts, scenario: str) -> str:
    group = next((row.group for row in facts.rows if row.row.scenario == scenario), scenario)
    return scenario.replace(group, short_names(facts.groups).get(group, group), 1)


def _failed(facts: SessionFacts) -> Iterator[Finding]:
    verdict = facts.verdict
    for limit in verdict.limits:
        if limit.broken:
            yield Finding(
                str(Verdict.REGRESSED), f"limit broken: {limit.scenario}", [limit.why, f"source: {limit.source}"]
            )
    for row in verdict.rows:
        if row.gated and row.verdict is Verdict.REGRESSED:
            moved = what_moved(facts.session, verdict, facts.baselines, row.scenario) if row.metric not in PARTS else []
            yield Finding(str(row.verdict), f"{row.scenario} {metric_name(row.metric)}", [*row.why, *moved])
    if verdict.suite.verdict is Verdict.REGRESSED:
        yield Finding(str(Verdict.REGRESSED), "all gated rows together", list(verdict.suite.why))
    yield from _reasons(facts)
    for text in reservations(verdict):
        first, *rest = text.splitlines()
        kind, _, title = first.partition(" ")
        yield Finding(kind, title, [line.strip() for line in rest])


def _reasons(facts: SessionFacts) -> list[Finding]:
    """Why the session is invalid; what is told of several scenarios stands once, with what differs below it."""
    told: dict[str, list[tuple[str, str]]] = {}
    for reason in facts.verdict.reasons:
        subject, colon, words = reason.partition(": ")
        if not colon or " " in subject:
            subject, words = "", reason
        clause, _, rest = words.partition("; ")
        told.setdefault(clause, []).append((subject, rest))
    return [_reason(clause, found) for clause, found in told.items()]


def _reason(clause: str, found: Sequence[tuple[str, str]]) -> Finding:
    subject, rest = found[0]
    if len(found) == 1:
        return Finding(str(Verdict.INVALID), f"{subject}: {clause}" if subject else clause, [rest] if rest else [])
    lines = [f"{subject}: {rest}" if rest else subject for subject, rest in found]
    return Finding(str(Verdict.INVALID), f"{clause} ({len(found)} scenarios)", lines[:1], lines[1:])


def _few(found: list[Finding]) -> list[Finding]:
    if len(found) <= _MOST_SHOWN:
        return found
    left = len(found) - _MOST_SHOWN
    return [*found[:_MOST_SHOWN], Finding(str(Verdict.INCONCLUSIVE), f"and {left} more: see the table of rows")]


def _blind(verdict: SessionVerdict) -> Iterator[Finding]:
    blind = verdict.blind
    if not blind:
        return
    gated = sum(row.gated for row in verdict.rows)
    remedy = "Measure more pairs." if all(row.pairs for row in blind) else "Accept more sessions."
    worst = sorted(blind, key=lambda row: -(row.mde_pct or float("inf")))
    lines = [_sees(row) for row in worst[:_MOST_SHOWN]]
    if len(worst) > _MOST_SHOWN:
        lines.append(f"and {len(worst) - _MOST_SHOWN} more: see “sees from” in the table of rows")
    yield Finding(
        str(Verdict.INCONCLUSIVE),
        f"{len(blind)} of {gated} gated rows would miss a change as large as their margin. {remedy}",
        more=lines,
    )


def _sees(row: RowVerdict) -> str:
    seen = "none, with one accepted session" if row.mde_pct is None else f"changes from {row.mde_pct:.0f}% up"
    return f"{row.scenario} {metric_name(row.metric)} sees {seen}; its margin is {row.margin_pct:g}%"


def provenance(facts: SessionFacts) -> list[Facts]:
    """Where a figure comes from: the session, the commit, the machine, the software."""
    session = facts.session
    told = session.provenance
    clean = {True: "", False: ", with uncommitted changes"}.get(told.get("clean"), "")  # type: ignore[arg-type]  # any JSON
    origin = [
        ("session", session.id),
        ("file", facts.file),
        ("started", session.started),
        ("profile", session.profile),
        ("commit", f"{told['commit']}{clean}" if told.get("commit") else "not known"),
        ("command", str(told.get("command", "not known"))),
        ("rows", f"{len(session.rows)}, {sum(row.gated for row in session.rows)} gated of {session.gated_family}"),
    ]
    machine = {name: value for name, value in session.machine.items() if name not in ("stable", "recorded")}
    return [
        Facts("Session", origin),
        Facts("Machine", [*_flat(machine), *_flat(_mapping(session.machine.get("stable")))]),
        Facts("As it was that day", list(_flat(_mapping(session.machine.get("recorded"))))),
        Facts("Software", sorted(session.software.items())),
        *([Facts("Outputs against the reference", [*_accuracy(facts)])] if session.accuracy else []),
    ]


def _accuracy(facts: SessionFacts) -> Iterator[tuple[str, str]]:
    for entry in facts.session.accuracy:
        agrees = f"top-1 agrees in {entry.top1_agreement:.0%} of {entry.positions}"
        yield entry.group, f"{agrees}, logits {entry.logit_distance:.1e} apart, against {entry.reference}"


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield f"{prefix}{name}", ", ".join(map(str, value))
        else:
            yield f"{prefix}{name}", f"{value:.6g}" if isinstance(value, float) else str(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
