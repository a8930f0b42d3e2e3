"""What accepting does to the stored sessions of a scenario: known before any file is touched."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokgate.errors import InputError
from tokgate.gate.chosen import chosen
from tokgate.gate.comparison import MAX_SESSIONS
from tokgate.gate.fingerprint import stable_differences
from tokgate.gate.history import Accepted, StoredRow, accuracy_for
from tokgate.gate.scale import change_pct, fastest_half, value_of
from tokgate.session import Session


@dataclass(frozen=True)
class Stamp:
    """Who accepted, when (RFC 3339) and why."""

    accepted: str
    reason: str
    who: str


@dataclass(frozen=True)
class ValueChange:
    """The mean of a row's accepted sessions before (None: there was none) and after, in `unit`.

    `change_pct` is positive when worse. `margin_pct` is the row's own, None: that of its machine kind.
    """

    metric: str
    unit: str
    gated: bool
    margin_pct: float | None
    before: float | None
    after: float
    change_pct: float | None


@dataclass(frozen=True)
class Change:
    """What accepting did to one file: ids `added`, `skipped` (already there), `outdated` (older than all it keeps) and
    `dropped`; how many `sessions` of the profile it holds now, and what that did to its rows.

    Both of those that are judged together with the newest; `apart`: how many are not, by the stable facts of their
    machine that differ, as "usable_cores 2".
    """

    path: Path
    scenario: str
    profile: str
    added: tuple[str, ...]
    skipped: tuple[str, ...]
    outdated: tuple[str, ...]
    dropped: tuple[str, ...]
    sessions: int
    apart: Mapping[str, int]
    values: tuple[ValueChange, ...]

    @property
    def machine_id(self) -> str:
        """A machine's baselines lie in the folder of its name."""
        return self.path.parent.name

    @property
    def written(self) -> bool:
        """Whether the file is another than before."""
        return bool(self.added or self.dropped)


def entries(sessions: Iterable[Session], scenario: str, stamp: Stamp) -> list[Accepted]:
    """The part of each session that belongs to one scenario; sessions without it have none."""
    found = []
    for session in sessions:
        rows = [row for row in session.rows if row.scenario == scenario]
        if not rows:
            continue
        entry = Accepted(
            id=session.id,
            started=session.started,
            profile=session.profile,
            accepted=stamp.accepted,
            reason=stamp.reason,
            rows={row.metric: StoredRow.of(row) for row in rows},
            commit=str(session.provenance.get("commit") or ""),
            who=stamp.who,
            software=dict(session.software),
            fingerprint=session.machine,
            family_size=session.gated_family,
            accuracy=accuracy_for(session, scenario, rows[0].group),
            served=_served(session, scenario),
            engine=chosen(session, scenario),
        )
        found.append(entry)
    return found


def _served(session: Session, scenario: str) -> dict[str, float]:
    """The figures that are numbers: telemetry has no schema."""
    served = session.telemetry.get("served")
    told = served.get(scenario) if isinstance(served, dict) else None
    figures = told.items() if isinstance(told, dict) else ()
    return {str(name): float(value) for name, value in figures if isinstance(value, (int, float))}


def merge(
    before: Sequence[Accepted], new: Sequence[Accepted], path: Path, profile: str, replace: bool
) -> tuple[list[Accepted], Change]:
    """Adds `new`, of one profile, to the stored sessions of a scenario; returns them, oldest first.

    Raises InputError if a session id is stored with other values.
    """
    others = [entry for entry in before if entry.profile != profile]
    old = [entry for entry in before if entry.profile == profile]
    rows = {entry.id: entry.rows for entry in new}
    kept = {entry.id: entry for entry in old if not replace or rows.get(entry.id) == entry.rows}
    added, skipped = [], []
    for entry in new:
        same = kept.get(entry.id) or next((item for item in others if item.id == entry.id), None)
        if same is None:
            kept[entry.id] = entry
            added.append(entry.id)
        elif same.rows != entry.rows or same.profile != entry.profile:
            raise InputError(
                f"session {entry.id!r} is in {path} with other values; a session is measured once: give the "
                "new one an id of its own, or start anew with --replace"
            )
        elif entry.id not in added:
            skipped.append(entry.id)
    newest = sorted(kept.values(), key=lambda entry: entry.when)[-MAX_SESSIONS:]
    ids = {entry.id for entry in newest}
    machines = [_other_facts(entry, newest[-1]) for entry in newest]
    change = Change(
        path=path,
        scenario=path.stem,
        profile=profile,
        added=tuple(name for name in added if name in ids),
        skipped=tuple(skipped),
        outdated=tuple(name for name in added if name not in ids),
        dropped=tuple(entry.id for entry in old if entry.id not in ids),
        sessions=machines.count(""),
        apart=Counter(facts for facts in machines if facts),
        values=tuple(_value_changes(*(_together(entries, newest[-1]) for entries in (old, newest)))),
    )
    return sorted([*others, *newest], key=lambda entry: entry.when), change


def _together(entries: Iterable[Accepted], newest: Accepted) -> list[Accepted]:
    """Those that the gate holds a session against that is of the same machine as the newest."""
    return [entry for entry in entries if not _other_facts(entry, newest)]


def _other_facts(entry: Accepted, newest: Accepted) -> str:
    """The stable facts of the machine in which it is another than the newest's; empty where it is the same."""
    differences = stable_differences(entry.fingerprint, newest.fingerprint)
    return ", ".join(f"{each.name} {each.before}" for each in differences)


def _value_changes(before: Sequence[Accepted], after: Sequence[Accepted]) -> list[ValueChange]:
    changes = []
    for metric, row in after[-1].rows.items():
        old, new = _mean_y(before, metric, row), _mean_y(after, metric, row)
        assert new is not None
        changes.append(
            ValueChange(
                metric=metric,
                unit=row.unit,
                gated=row.gated,
                margin_pct=row.margin_pct,
                before=None if old is None else value_of(old, row.better),
                after=value_of(new, row.better),
                change_pct=None if old is None else change_pct(new - old, row.better),
            )
        )
    return changes


def _mean_y(entries: Sequence[Accepted], metric: str, like: StoredRow) -> float | None:
    rows = [entry.rows[metric] for entry in entries if metric in entry.rows]
    ys = [fastest_half(row.ys) for row in rows if (row.unit, row.better) == (like.unit, like.better)]
    return math.fsum(ys) / len(ys) if ys else None
