"""What moved behind a slower row: the parts of a request, each against the accepted sessions."""

from __future__ import annotations

from dataclasses import dataclass

from tokgate.gate.history import Baselines
from tokgate.gate.reference import reference
from tokgate.gate.rows import case_of, slow_launches
from tokgate.gate.scale import change_pct, delta_of, value_of
from tokgate.session import Session

# The parts of a request in the order they happen, and what each one's metric is a measure of.
PARTS = {"queue_time": "queue", "ttft": "prefill", "tpot": "decode"}


@dataclass(frozen=True)
class Movement:
    """`before`, `now` in `unit`; `slow_launches` of `launches`, and `moved`: beyond the tolerance."""

    part: str
    metric: str
    change_pct: float
    before: float
    now: float
    unit: str
    slow_launches: int
    launches: int
    moved: bool

    def __str__(self) -> str:
        word = "slower" if self.change_pct > 0 else "faster"
        return (
            f"{self.part} ({self.metric}) {abs(self.change_pct):.1f}% {word}, {self.before:.4g} -> "
            f"{self.now:.4g} {self.unit}, in {self.slow_launches} of {self.launches} launches"
        )


def movements(session: Session, baselines: Baselines, scenario: str) -> list[Movement]:
    """The parts of `scenario` that session and baseline both measured, the one that moved most first."""
    held = reference(session, baselines)
    found = []
    for row in session.rows:
        if row.scenario != scenario or row.metric not in PARTS:
            continue
        case = case_of(row, held, session.machine_kind)
        if case is None:
            continue
        comparison, tolerance_pct = case.comparison, case.thresholds.tolerance_pct
        slow = slow_launches(case, tolerance_pct)
        found.append(
            Movement(
                PARTS[row.metric],
                row.metric,
                change_pct(comparison.delta, row.better),
                value_of(comparison.baseline, row.better),
                value_of(comparison.current, row.better),
                row.unit,
                slow,
                len(row.launches),
                comparison.delta > delta_of(tolerance_pct, row.better),
            )
        )
    return sorted(found, key=lambda movement: -movement.change_pct)
