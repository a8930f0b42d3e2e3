"""What moved behind a slower row: the parts of a request, each against the accepted sessions, launch by launch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean, median

from tokgate.gate.achieved import achieved, host_fell, machine_fell
from tokgate.gate.chosen import choice_changes, chosen
from tokgate.gate.history import Baselines
from tokgate.gate.reference import Reference, reference
from tokgate.gate.rows import Case, case_of, ys_of
from tokgate.gate.scale import change_pct, delta_of, size_text, value_of
from tokgate.gate.served import served_changes
from tokgate.session import Session

# The parts of a request in the order they happen, and what each one's metric is a measure of.
PARTS = {"queue_time": "queue", "ttft": "prefill", "tpot": "decode"}


@dataclass(frozen=True)
class Movement:
    """`before`, `now` in `unit`; `moved`: the session is beyond the tolerance. `slow_launches` of `launches` are
    slower than their like in the accepted sessions.

    `spread_pct`: the slowest launch over the fastest, and `usual_spread_pct` that of the accepted sessions (their
    median); None where there is one launch only.
    """

    part: str
    metric: str
    change_pct: float
    before: float
    now: float
    unit: str
    slow_launches: int
    launches: int
    moved: bool
    spread_pct: float | None = None
    usual_spread_pct: float | None = None

    def __str__(self) -> str:
        word = "slower" if self.change_pct > 0 else "faster"
        change = (
            f"{self.part} ({self.metric}) {size_text(self.change_pct)} {word}, {self.before:.4g} -> "
            f"{self.now:.4g} {self.unit}"
        )
        if not self.slow_launches:
            return change
        return f"{change}, {'' if self.moved else 'but slower '}{self.where}"

    @property
    def where(self) -> str:
        """Whether every launch is slower, or some of them: two different findings."""
        if self.slow_launches == self.launches:
            return f"in all {self.launches} launches" if self.launches > 1 else "in the only launch"
        return f"in {self.slow_launches} of {self.launches} launches, the others as before"

    @property
    def spread(self) -> str | None:
        if self.spread_pct is None or self.usual_spread_pct is None:
            return None
        return (
            f"launch to launch {self.part} differs by {self.spread_pct:.1f}%; in the accepted sessions by "
            f"{self.usual_spread_pct:.1f}%"
        )


def explain(session: Session, baselines: Baselines, scenario: str) -> list[str]:
    """What a reader of a slower `scenario` wants to know, a line each: what moved most comes first."""
    held = reference(session, baselines)
    moves = _movements(session, held, scenario)
    spread = moves[0].spread if moves else None
    works = session.telemetry.get("work")
    work = works.get(scenario) if isinstance(works, dict) else None
    served = session.telemetry.get("served")
    told = served.get(scenario) if isinstance(served, dict) else None
    entries = held.entries.get(scenario, ())
    fingerprints = [entry.fingerprint for entry in entries]
    python = _python(session.software)
    alike = [entry.fingerprint for entry in entries if _python(entry.software) == python]
    lines = [achieved(move.part, move.before, move.now, work, fingerprints, session.machine) for move in moves]
    return [
        *map(str, moves),
        *([spread] if spread else []),
        *choice_changes(chosen(session, scenario), [entry.engine for entry in entries]),
        *served_changes(told, [entry.served for entry in entries]),
        *(line for line in lines if line),
        *machine_fell(fingerprints, session.machine),
        *host_fell(alike, session.machine),
    ]


def _python(software: Mapping[str, str]) -> list[str]:
    """Its version, but for the patch: how fast its loops are changes with the others."""
    return software.get("python", "").split(".")[:2]


def movements(session: Session, baselines: Baselines, scenario: str) -> list[Movement]:
    """The parts of `scenario` that session and baseline both measured, the one that moved most first."""
    return _movements(session, reference(session, baselines), scenario)


def _movements(session: Session, held: Reference, scenario: str) -> list[Movement]:
    rows = [row for row in session.rows if row.scenario == scenario and row.metric in PARTS]
    cases = [case for row in rows if (case := case_of(row, held, session.machine_kind)) is not None]
    return sorted(map(_movement, cases), key=lambda movement: -movement.change_pct)


def _movement(case: Case) -> Movement:
    row, comparison = case.row, case.comparison
    tolerance = delta_of(case.thresholds.tolerance_pct, row.better)
    ys = ys_of(row, row.launches)
    usual = [item.ys[: len(ys)] for item in case.past if len(item.ys) > 1]
    return Movement(
        PARTS[row.metric],
        row.metric,
        change_pct(comparison.delta, row.better),
        value_of(comparison.baseline, row.better),
        value_of(comparison.current, row.better),
        row.unit,
        _slower_launches(case, ys, tolerance),
        len(row.launches),
        comparison.delta > tolerance,
        _spread_pct(ys) if len(ys) > 1 else None,
        median(map(_spread_pct, usual)) if usual else None,
    )


def _slower_launches(case: Case, ys: list[float], tolerance: float) -> int:
    """How many launches are slower than their like in the accepted sessions: the fastest than the fastest ones,
    and so on, since some launches are slow every night.

    Where the whole session moved, half of its change tells a launch that has it from one that has not; else a
    launch has to be slower than each of its like.
    """
    delta = case.comparison.delta
    slower = 0
    for rank, y in enumerate(sorted(ys)):
        alike = [_at(sorted(item.ys), rank / max(1, len(ys) - 1)) for item in case.past]
        if delta > tolerance:
            slower += y - mean(alike) > max(tolerance, delta / 2)
        else:
            slower += y - max(alike) > tolerance
    return slower


def _at(ordered: list[float], share: float) -> float:
    """The value at `share` of the way from the first to the last, between two of them if need be."""
    place = share * (len(ordered) - 1)
    low = min(int(place), max(0, len(ordered) - 2))
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _spread_pct(ys: list[float]) -> float:
    return 100 * math.expm1(max(ys) - min(ys))
