"""What a verdict says in words: of a row, and of what moved behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokgate.gate.explain import PARTS, explain
from tokgate.gate.history import Baselines
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
        yield f"  again: pytest -m {session.machine_kind} --perf-profile={session.profile} -k '[{scenario}]'"


def reservations(verdict: SessionVerdict) -> Iterator[str]:
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
    for (kind, why), alike in rows.items():
        first = alike[0]
        others = f" and {len(alike) - 1} more rows" if len(alike) > 1 else ""
        seen = [first.why[0]] if first.why[1:] else []
        yield "\n  ".join([f"{kind} {first.scenario} {first.metric}{others}", *seen, *why])


def _moved_in_pairs(rows: Sequence[RowVerdict]) -> list[str]:
    """The parts of a request that were measured in pairs, each against the reference, the one that moved most first."""
    paired = [row for row in rows if row.pairs and row.metric in PARTS and row.change_pct is not None]
    return [
        f"{PARTS[row.metric]} ({row.metric}) {abs(row.change_pct or 0):.1f}% "
        f"{'slower' if (row.change_pct or 0) > 0 else 'faster'} than the reference, {row.baseline_value:.4g} -> "
        f"{row.current_value:.4g} {row.unit}, in {row.pairs} pairs"
        for row in sorted(paired, key=lambda row: -(row.change_pct or 0))
    ]
