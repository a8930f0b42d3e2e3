"""What a verdict says in words: of a row, and of what moved behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tokgate.gate.explain import PARTS, explain
from tokgate.gate.history import Baselines
from tokgate.gate.scale import size_text
from tokgate.gate.verdict import RowVerdict, SessionVerdict, Verdict
from tokgate.session import Session

_RESERVED = (Verdict.INVALID, Verdict.INCONCLUSIVE, Verdict.NO_BASELINE, Verdict.DRIFT)


def words_of(row: RowVerdict) -> str:
    """A row's verdict and why, a line each."""
    return "\n  ".join([f"{row.verdict} {row.scenario} {row.metric}", *row.why])


def what_moved(session: Session, verdict: SessionVerdict, baselines: Baselines, scenario: str) -> list[str]:
    """The parts of a request behind a slower scenario, a line each: by its pairs where it has some."""
    return _moved_in_pairs(verdict.of_scenario(scenario)) or explain(session, baselines, scenario)


def regressions(session: Session, verdict: SessionVerdict, baselines: Baselines) -> Iterator[str]:
    """Of each scenario with a REGRESSED row: its rows, what moved, and how to measure it again."""
    slower = [row for row in verdict.rows if row.gated and row.verdict is Verdict.REGRESSED]
    for scenario in dict.fromkeys(row.scenario for row in slower):
        yield from (words_of(row) for row in slower if row.scenario == scenario)
        yield from (f"  {line}" for line in what_moved(session, verdict, baselines, scenario))
        yield f"  {again(session, scenario)}"


def again(session: Session, scenario: str) -> str:
    """The command that measures one scenario of a stored session again, as the session says it if it does."""
    told = session.provenance.get("again") or f"pytest -m {session.machine_kind} --perf-profile={session.profile}"
    return f"again: {told} -k '[{scenario}]'"


def without_limits(verdict: SessionVerdict) -> SessionVerdict:
    """Its rows without broken limits among their reasons, for a reader who is told those by themselves."""
    broken = {limit.why for limit in verdict.limits if limit.broken}
    rows = tuple(replace(row, why=tuple(why for why in row.why if why not in broken)) for row in verdict.rows)
    return replace(verdict, rows=rows)


@dataclass(frozen=True)
class Reservation:
    """Rows of one verdict and for one reason; `why` begins with what the first of them measured, if anything."""

    rows: Sequence[RowVerdict]
    why: Sequence[str]

    @property
    def others(self) -> str:
        """Beside the first."""
        more = len(self.rows) - 1
        return f" and {more} more row{'s' if more > 1 else ''}" if more else ""


def reservations(verdict: SessionVerdict) -> Iterator[str]:
    """What `reserved` finds, in words."""
    for found in reserved(verdict):
        first = found.rows[0]
        yield "\n  ".join([f"{first.verdict} {first.scenario} {first.metric}{found.others}", *found.why])


def reserved(verdict: SessionVerdict) -> Iterator[Reservation]:
    """Why gated rows are neither PASS nor REGRESSED, rows with the same reason together; for an invalid session none.

    Its own reasons say all of that.
    """
    if verdict.reasons:
        return
    rows: dict[tuple[Verdict, tuple[str, ...]], list[RowVerdict]] = {}
    for row in verdict.rows:
        if row.gated and row.verdict in _RESERVED:
            # What a row measured differs from row to row; what stands after it is the reason.
            rows.setdefault((row.verdict, row.why[1:] or row.why), []).append(row)
    for (_, why), alike in rows.items():
        first = alike[0]
        yield Reservation(alike, [*first.why[:1], *why] if first.why[1:] else why)


def _moved_in_pairs(rows: Sequence[RowVerdict]) -> list[str]:
    """The parts of a request that were measured in pairs, each against the reference, the one that moved most first."""
    paired = [row for row in rows if row.pairs and row.metric in PARTS and row.change_pct is not None]
    return [
        f"{PARTS[row.metric]} ({row.metric}) {size_text(row.change_pct or 0)} "
        f"{'slower' if (row.change_pct or 0) > 0 else 'faster'} than the reference, {row.baseline_value:.4g} -> "
        f"{row.current_value:.4g} {row.unit}, in {row.pairs} pairs"
        for row in sorted(paired, key=lambda row: -(row.change_pct or 0))
    ]


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
