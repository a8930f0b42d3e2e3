"""What a session did not measure: scenarios that it should have, others, and what limits bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tokgate.gate.limits import Limit
from tokgate.gate.reference import Reference
from tokgate.session import Session

_MOST_NAMED = 3


@dataclass(frozen=True)
class _Night:
    """An accepted session: the scenarios that it gates, and whether those were all that its profile had."""

    scenarios: frozenset[str]
    is_whole: bool


def missing_scenarios(session: Session, held: Reference) -> tuple[str, ...]:
    """Accepted scenarios of the session's own matrix that it lacks, though no selection left anything out.

    Such a session has as many gated rows as its family_size says that this machine can run: what else was accepted
    fits here no longer, or was dropped from the matrix. Sessions of other matrices lie in the same folder; those of its
    own are the accepted ones that share a scenario with it, back to the newest that measured its whole profile.
    """
    if sum(row.gated for row in session.rows) < session.gated_family:
        return ()
    here = {row.scenario for row in session.rows}
    expected: set[str] = set()
    for night in _nights(held):
        if night.scenarios & here:
            expected |= night.scenarios
            if night.is_whole:
                break
    return tuple(sorted(expected - here))


def missing_words(missing: Sequence[str]) -> str:
    return (
        f"not measured: {', '.join(missing)}: accepted in this profile, and no selection left them out; if they were "
        "dropped on purpose, accept a session without them"
    )


def unmeasured_notes(
    session: Session, held: Reference, missing: Sequence[str], limits: Iterable[Limit]
) -> Iterator[str]:
    """A line for each kind of what was not measured. `missing`: as missing_scenarios has it."""
    here = {row.scenario for row in session.rows}
    if missing:
        yield missing_words(missing)
    others = sorted({scenario for scenario, _ in held.gated_keys()} - here - {*missing})
    if others:
        yield f"{len(others)} accepted scenarios of this profile are not in this session: {_named(others)}"
    unheld: dict[str, list[str]] = {}
    for limit in limits:
        if limit.scenario not in here and limit.bound != "reference":
            unheld.setdefault(limit.scenario, []).append(limit.metric)
    if unheld:
        told = ", ".join(f"{scenario} ({', '.join(dict.fromkeys(metrics))})" for scenario, metrics in unheld.items())
        yield f"not measured: {told}: their limits were held against nothing"


def _named(scenarios: Sequence[str]) -> str:
    """By themselves if they are few, or by group."""
    if len(scenarios) <= _MOST_NAMED:
        return ", ".join(scenarios)
    groups = Counter(scenario.rsplit(".", 3)[0] for scenario in scenarios)
    told = ", ".join(f"{count} of {group}" for group, count in list(groups.items())[:_MOST_NAMED])
    more = sum(list(groups.values())[_MOST_NAMED:])
    return told + (f" and {more} more" if more else "")


def _nights(held: Reference) -> Iterator[_Night]:
    """The accepted sessions that this one may be compared with, the newest first."""
    entries = {entry.id: entry for stored in held.entries.values() for entry in stored}
    gated: dict[str, dict[str, int]] = {}
    for scenario, stored in held.entries.items():
        for entry in stored:
            if count := sum(row.gated for row in entry.rows.values()):
                gated.setdefault(entry.id, {})[scenario] = count
    for name in sorted(gated, key=lambda name: entries[name].when, reverse=True):
        rows = gated[name]
        yield _Night(frozenset(rows), sum(rows.values()) >= (entries[name].family_size or 0))
