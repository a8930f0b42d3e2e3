"""The first screen of a session: its verdict in a sentence, what failed and why, what could not have been seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tokgate import tomltext
from tokgate.gate.explain import PARTS
from tokgate.gate.verdict import Outcome, RowVerdict, SessionVerdict, Verdict
from tokgate.report.html.blocks import Facts, Finding, Summary
from tokgate.report.html.data import SessionFacts
from tokgate.report.html.figures.base import metric_name
from tokgate.report.html.sentence import Reason, reasons, sentence
from tokgate.report.words import again, reserved, what_moved

_WORDS = {
    Outcome.PASS: ("PASS", Verdict.PASS),
    Outcome.FAIL: ("FAIL", Verdict.REGRESSED),
    Outcome.INCONCLUSIVE: ("INCONCLUSIVE", Verdict.INCONCLUSIVE),
    Outcome.INVALID: ("INVALID", Verdict.INVALID),
    Outcome.NO_BASELINE: ("NO BASELINE", Verdict.NO_BASELINE),
}
_MOST_SHOWN = 12
# The change, and what of it is certain.
_WHY_SHOWN = 2


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


def _failed(facts: SessionFacts) -> Iterator[Finding]:
    verdict = facts.verdict
    for limit in verdict.limits:
        if limit.broken:
            yield Finding(
                str(Verdict.REGRESSED), f"limit broken: {limit.scenario}", [limit.why, f"source: {limit.source}"]
            )
    for row in verdict.rows:
        if row.gated and row.verdict is Verdict.REGRESSED:
            yield _slower_row(facts, row)
    if verdict.suite.verdict is Verdict.REGRESSED:
        yield Finding(str(Verdict.REGRESSED), "all gated rows together", list(verdict.suite.why))
    yield from map(_invalid, reasons(facts))
    for found in reserved(verdict):
        first = found.rows[0]
        yield Finding(str(first.verdict), f"{first.scenario} {metric_name(first.metric)}{found.others}", found.why)


def _slower_row(facts: SessionFacts, row: RowVerdict) -> Finding:
    """By how much, which parts of a request moved, and how to see it again; all else is folded away."""
    moved: list[str] = []
    if row.metric not in PARTS:
        moved = what_moved(facts.session, facts.verdict, facts.baselines, row.scenario)
    parts = [line for line in moved if line.startswith(tuple(f"{part} ({metric})" for metric, part in PARTS.items()))]
    return Finding(
        str(row.verdict),
        f"{row.scenario} {metric_name(row.metric)}",
        [*row.why[:_WHY_SHOWN], *parts, again(facts.session, row.scenario)],
        [*row.why[_WHY_SHOWN:], *(line for line in moved if line not in parts)],
    )


def _invalid(reason: Reason) -> Finding:
    subject, rest = reason.told[0]
    if len(reason.told) == 1:
        title = f"{subject}: {reason.clause}" if subject else reason.clause
        return Finding(str(Verdict.INVALID), title, [rest] if rest else [])
    lines = [f"{subject}: {rest}" if rest else subject for subject, rest in reason.told]
    return Finding(str(Verdict.INVALID), f"{reason.clause} ({len(reason.told)} scenarios)", lines[:1], lines[1:])


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
        *([("settings given beside the rows' own", tomltext.pairs(session.given))] if session.given else []),
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
