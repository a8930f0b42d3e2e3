"""All sessions of a machine, accepted and saved, by time; and what of their software changed on the way. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tokgate.gate.history import Baselines
from tokgate.gate.scale import launch_values
from tokgate.session import Better, Session


@dataclass
class Seen:
    """One session of a machine, from wherever it is known; launch values by (scenario, metric)."""

    id: str
    started: str
    profile: str
    standing: str
    file: str
    software: Mapping[str, str]
    rows: dict[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """What a row is, whichever session it is of."""

    unit: str
    better: Better
    group: str


@dataclass(frozen=True)
class Change:
    """Software that differs from one session to the next that tells of it. `session`: the first that has it."""

    started: str
    session: str
    profile: str
    name: str
    before: str
    now: str


@dataclass(frozen=True)
class Timeline:
    """Sessions by time, and what their rows are, by (scenario, metric)."""

    seen: list[Seen]
    kinds: dict[tuple[str, str], Kind]


def collect(sessions: Iterable[tuple[Session, str]], baselines: Baselines) -> Timeline:
    """`sessions`: with their files' names. What is accepted and at hand stands there once, as accepted.

    A session with given settings is left out: its rows are not what their ids say.
    """
    found: dict[str, Seen] = {}
    kinds: dict[tuple[str, str], Kind] = {}
    for session, file in sessions:
        if session.given:
            continue
        standing = "measured" if session.valid else "invalid"
        seen = Seen(session.id, session.started, session.profile, standing, file, session.software)
        found[session.id] = seen
        for row in session.rows:
            seen.rows[row.key] = tuple(launch_values(row.launches))
            kinds[row.key] = Kind(row.unit, row.better, row.group or _group(row.scenario))
    for scenario, entries in baselines.scenarios.items():
        for entry in entries:
            seen = found.setdefault(
                entry.id, Seen(entry.id, entry.started, entry.profile, "accepted", "baselines", entry.software)
            )
            seen.standing = "accepted"
            for metric, stored in entry.rows.items():
                seen.rows.setdefault((scenario, metric), tuple(stored.launches))
                kinds.setdefault((scenario, metric), Kind(stored.unit, stored.better, _group(scenario)))
    return Timeline(sorted(found.values(), key=lambda seen: (seen.started, seen.id)), kinds)


def _group(scenario: str) -> str:
    return scenario.rsplit(".", 3)[0]


def software_changes(seen: Sequence[Seen]) -> list[Change]:
    """A version that differs from the one that was told last; what a session does not tell is no change.

    Told of some of the same rows, in the same profile: other engines may have environments of their own.
    """
    changes = []
    for place, session in enumerate(seen):
        before = [earlier for earlier in reversed(seen[:place]) if _alike(earlier, session)]
        for name, version in sorted(session.software.items()):
            last = next((earlier.software[name] for earlier in before if name in earlier.software), version)
            if last != version:
                changes.append(Change(session.started, session.id, session.profile, name, last, version))
    return changes


def _alike(one: Seen, other: Seen) -> bool:
    return one.profile == other.profile and not one.rows.keys().isdisjoint(other.rows.keys())
