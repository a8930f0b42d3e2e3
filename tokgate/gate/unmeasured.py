"""What a session did not measure: scenarios that it should have, others, and what limits bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tokgate.gate.limits import Limit
from tokgate.gate.reference import Reference
from tokgate.gate.verdict import SessionVerdict, Unheld, Unmeasured
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


def find_unmeasured(session: Session, held: Reference, missing: Collection[str], limits: Iterable[Limit]) -> Unmeasured:
    """What else the session did not measure. `missing`: as missing_scenarios has it."""
    here = {row.scenario for row in session.rows}
    others = {scenario for scenario, _ in held.gated_keys()} - here - {*missing}
    unheld: dict[str, dict[str, None]] = {}
    for limit in limits:
        if limit.scenario not in here and limit.bound != "reference":
            unheld.setdefault(limit.scenario, {})[limit.metric] = None
    return Unmeasured(
        tuple(sorted(others)), tuple(Unheld(scenario, tuple(metrics)) for scenario, metrics in unheld.items())
    )


def unmeasured_notes(found: Unmeasured) -> list[str]:
    """A line for each kind."""
    notes = []
    if found.accepted:
        count = len(found.accepted)
        notes.append(f"{count} accepted scenarios of this profile are not in this session: {_named(found.accepted)}")
    if found.unheld:
        told = ", ".join(f"{each.scenario} ({', '.join(each.metrics)})" for each in found.unheld)
        notes.append(f"not measured: {told}: their limits were held against nothing")
    return notes


def measured_beside(session: Session, sessions: Iterable[Session]) -> frozenset[str]:
    """The scenarios that those of `sessions`, of one run, measured that are of the session's machine and profile. Of an
    invalid one nothing is known.

    The session may be among them: it lacks none of its own.
    """
    place = session.machine_id, session.profile
    others = (other for other in sessions if other.valid and (other.machine_id, other.profile) == place)
    return frozenset(row.scenario for other in others for row in other.rows)


def without_notes_on(scenarios: Collection[str], verdict: SessionVerdict) -> SessionVerdict:
    """The verdict, told to who sees sessions beside it that measured `scenarios`: its notes deny them no longer.

    Notes alone: what is `missing` stays so, since another session's rows do not say why this one lost its own.
    """
    found = verdict.unmeasured
    left = Unmeasured(
        tuple(scenario for scenario in found.accepted if scenario not in scenarios),
        tuple(each for each in found.unheld if each.scenario not in scenarios),
    )
    told = unmeasured_notes(found)
    notes = [note for note in verdict.notes if note not in told]
    return replace(verdict, notes=(*notes, *unmeasured_notes(left)), unmeasured=left)


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
