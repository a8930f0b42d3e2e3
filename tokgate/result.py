"""What the launches of a group gave, and what of it can be believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tokgate.gate.accuracy import absolute_faults
from tokgate.launch import LaunchRecord
from tokgate.pairing import REFERENCE, other_outputs
from tokgate.scenario import Group
from tokgate.session import Accuracy, Row
from tokgate.tracing import GroupTrace


@dataclass
class GroupResult:
    """Rows and faults by scenario id, or why nothing was measured.

    `skipped` is a reason that is nobody's fault (not enough memory); `failed` an error of the group. `launches`
    are held against the accepted sessions, `confirmations` are fresh ones of what they call slower; `references`
    and `candidates` are the two sides of pairs. `other_faults` are of the group as a whole; `notes`: what a reader
    should know of rows that are valid. `trace`: what was traced after the launches, or why nothing was (`untraced`);
    both None where nobody asked.
    """

    group: Group
    rows: dict[str, list[Row]] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    accuracy: Accuracy | None = None
    reference_accuracy: Accuracy | None = None
    skipped: str | None = None
    failed: str | None = None
    artifact: dict[str, Any] = field(default_factory=dict)
    launches: list[LaunchRecord] = field(default_factory=list)
    confirmations: list[LaunchRecord] = field(default_factory=list)
    references: list[LaunchRecord] = field(default_factory=list)
    candidates: list[LaunchRecord] = field(default_factory=list)
    build_s: float = 0.0
    other_faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    trace: GroupTrace | None = None
    untraced: str | None = None

    @property
    def own_launches(self) -> list[LaunchRecord]:
        """Every launch of the interpreter that is judged, none of the reference's."""
        return [*self.launches, *self.confirmations, *self.candidates]

    @property
    def engine(self) -> dict[str, str]:
        """What the engine that is judged says of itself."""
        return self.own_launches[0].engine if self.own_launches else {}

    @property
    def measured_s(self) -> float:
        """Seconds inside measured rounds."""
        return sum(record.measured_s for record in [*self.own_launches, *self.references])

    @property
    def all_rows(self) -> list[Row]:
        return [row for rows in self.rows.values() for row in rows]

    @property
    def all_faults(self) -> list[str]:
        return [f"{scenario}: {fault}" for scenario, faults in self.faults.items() for fault in faults]

    def faults_of(self, scenario: str) -> list[str]:
        """Why the scenario's figures cannot be believed: its own reasons, and those of the whole group."""
        return [*self.group_faults, *self.faults.get(scenario, [])]

    @property
    def group_faults(self) -> list[str]:
        """What makes all of the group's figures worthless: it failed, or its outputs are wrong."""
        precision = self.group.precision
        faults = [f"{self.group.id}: {self.failed}"] if self.failed else []
        faults += [f"{self.group.id}: {fault}" for fault in self.other_faults]
        if self.accuracy:
            faults += absolute_faults(self.accuracy, precision)
        if self.reference_accuracy:
            faults += [f"{REFERENCE}: {fault}" for fault in absolute_faults(self.reference_accuracy, precision)]
        if self.accuracy and self.reference_accuracy:
            faults += other_outputs(self.reference_accuracy, self.accuracy)
        return faults
