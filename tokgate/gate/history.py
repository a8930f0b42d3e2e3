"""What has been accepted on a machine: the data of the store, without its files."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import msgspec

from tokgate.errors import InputError
from tokgate.gate.scale import harm, launch_values
from tokgate.session import Accuracy, Better, Row, Session


class StoredRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One metric of one accepted session: a value a launch, in `unit`."""

    unit: str
    better: Better
    gated: bool
    launches: list[float]
    tolerance_pct: float | None = None
    margin_pct: float | None = None

    @classmethod
    def of(cls, row: Row) -> StoredRow:
        return cls(
            unit=row.unit,
            better=row.better,
            gated=row.gated,
            launches=launch_values(row.launches),
            tolerance_pct=row.tolerance_pct,
            margin_pct=row.margin_pct,
        )

    @property
    def ys(self) -> list[float]:
        """The launch values on the y scale."""
        return [harm(value, self.better) for value in self.launches]


class Accepted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One accepted session as far as one scenario is concerned, with its provenance; `rows` by metric.

    `served`: what a server or an engine told of itself beside the row, see gate/served.py; `engine`: what the engine
    chose for itself, see gate/chosen.py.
    """

    id: str
    started: str
    profile: str
    accepted: str
    reason: str
    rows: dict[str, StoredRow]
    commit: str = ""
    who: str = ""
    software: dict[str, str] = {}
    fingerprint: dict[str, Any] = {}
    family_size: int | None = None
    accuracy: Accuracy | None = None
    served: dict[str, float] = {}
    engine: dict[str, str] = {}

    @property
    def when(self) -> tuple[datetime, str]:
        return moment(self.started, f"accepted session {self.id!r}"), self.id


@dataclass(frozen=True)
class Baselines:
    """The accepted sessions of one machine by scenario, oldest first."""

    machine_id: str
    scenarios: Mapping[str, tuple[Accepted, ...]] = field(default_factory=dict)

    @functools.cached_property
    def launch_ys(self) -> dict[tuple[str, str, str], list[float]]:
        """Launch values on the y scale by scenario, session id and metric: taken once for many judgements."""
        return {
            (scenario, entry.id, metric): row.ys
            for scenario, entries in self.scenarios.items()
            for entry in entries
            for metric, row in entry.rows.items()
        }

    def __iter__(self) -> Iterator[Accepted]:
        return (entry for entries in self.scenarios.values() for entry in entries)


def moment(text: str, what: str) -> datetime:
    """An RFC 3339 time; without an offset it is UTC. Raises InputError naming `what`."""
    try:
        # Python 3.10 knows no Z, and just 3 or 6 digits of a second's fraction.
        when = datetime.fromisoformat(_to_python_3_10(text))
    except ValueError:
        raise InputError(f"{what} has started {text!r}; expected RFC 3339, as 2026-11-21T03:00:00Z") from None
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def _to_python_3_10(text: str) -> str:
    if text[-1:] in ("Z", "z"):
        text = text[:-1] + "+00:00"
    whole, dot, rest = text.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return f"{whole}.{rest[:digits][:6]:0<6}{rest[digits:]}" if dot else text


def accuracy_for(session: Session, scenario: str, group: str | None = None) -> Accuracy | None:
    """The accuracy entry of a scenario: of its row's group, else of the longest group that begins its id."""
    entries = {entry.group: entry for entry in session.accuracy}
    if group is not None and group in entries:
        return entries[group]
    names = [name for name in entries if scenario.startswith(f"{name}.")]
    return entries[max(names, key=len)] if names else None
