"""From verdicts to what a pytest item says: passed or not, the message, the warnings, the properties."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokgate.gate.unmeasured import missing_words
from tokgate.gate.verdict import RowVerdict, Verdict
from tokgate.report.words import what_moved, words_of
from tokgate.scenario import Scenario

if TYPE_CHECKING:
    from tokgate.run import DeviceRun


@dataclass
class ItemOutcome:
    """`failures` fail the item, `warnings` are shown; an item without either passed."""

    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    properties: dict[str, object] = field(default_factory=dict)
    skipped: str | None = None

    @property
    def passed(self) -> bool:
        return not self.failures

    @property
    def message(self) -> str:
        return "\n".join(self.failures)


def scenario_outcome(scenario: Scenario, run: DeviceRun, require_baseline: bool, strict: bool) -> ItemOutcome:
    """Judges all rows of one scenario."""
    session, verdict = run.scenario_verdict(scenario)
    outcome = ItemOutcome()
    again = run.command_for(scenario)
    if verdict.reasons:
        outcome.failures.append("\n  ".join([f"INVALID {scenario.id}", *verdict.reasons, f"again: {again}"]))
    for row in verdict.rows:
        if row.gated:
            outcome.properties.update(_properties(row))
            # The rows of an invalid session all say what was said above.
            if not verdict.reasons:
                _add(outcome, row, _nothing_to_compare(run), require_baseline, strict)
    outcome.failures += [f"LIMIT {limit.scenario}: {limit.why}" for limit in verdict.limits if limit.broken]
    if outcome.failures and not verdict.reasons:
        outcome.failures += [*what_moved(session, verdict, run.baselines, scenario.id), f"again: {again}"]
    return outcome


def suite_outcome(run: DeviceRun, require_baseline: bool, strict: bool) -> ItemOutcome:
    """Judges the geometric mean of all gated rows, and whether any is missing where baselines are required."""
    verdict = run.session_verdict()
    suite = verdict.suite
    outcome = ItemOutcome()
    if require_baseline and verdict.missing:
        outcome.failures.append(f"{Verdict.NO_BASELINE} {missing_words(verdict.missing)}")
    if suite.verdict is None:
        outcome.skipped = None if outcome.failures else "; ".join(suite.why)
        return outcome
    outcome.properties.update({"suite_verdict": str(suite.verdict), "suite_change_pct": suite.change_pct})
    _sort(outcome, suite.verdict, f"{suite.verdict} all rows: {'; '.join(suite.why)}", require_baseline, strict)
    return outcome


def _nothing_to_compare(run: DeviceRun) -> str:
    """The same words for every row, so that pytest shows them once."""
    held = "the reference alone" if run.options.reference else "nothing"
    return (
        f"NO-BASELINE: rows without accepted sessions of {run.machine['id']}, profile {run.options.profile}, were "
        f"compared with {held}. "
        'Measure on 5 nights, then: tokgate accept SESSION... --reason "..."'
    )


def _add(outcome: ItemOutcome, row: RowVerdict, no_baseline: str, require_baseline: bool, strict: bool) -> None:
    if row.verdict is not Verdict.NO_BASELINE or require_baseline:
        _sort(outcome, row.verdict, words_of(row), require_baseline, strict)
    elif no_baseline not in outcome.warnings:
        outcome.warnings.append(no_baseline)


def _sort(outcome: ItemOutcome, verdict: Verdict, text: str, require_baseline: bool, strict: bool) -> None:
    fails = {
        Verdict.REGRESSED: True,
        Verdict.INVALID: True,
        Verdict.NO_BASELINE: require_baseline,
        Verdict.INCONCLUSIVE: strict,
        Verdict.DRIFT: False,
    }
    if verdict in fails:
        (outcome.failures if fails[verdict] else outcome.warnings).append(text)


def _properties(row: RowVerdict) -> dict[str, object]:
    figures = {
        "verdict": str(row.verdict),
        "change_pct": row.change_pct,
        "ci_pct": row.ci_pct,
        "mde_pct": row.mde_pct,
    }
    return {f"{row.metric}_{name}": value for name, value in figures.items() if value is not None}
