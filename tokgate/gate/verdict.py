"""What the gate says: of a row, of the suite, of a session, and of a command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tokgate.session import Better

# Figures of what an engine computes, not of how fast: alone they are no verdict on a session.
OUTPUT_METRICS = ("top1_agreement", "logit_distance")


class Verdict(str, Enum):
    REGRESSED = "REGRESSED"
    PASS = "PASS"
    INCONCLUSIVE = "INCONCLUSIVE"
    IMPROVED = "IMPROVED"
    NO_BASELINE = "NO-BASELINE"
    INVALID = "INVALID"
    DRIFT = "DRIFT"

    def __str__(self) -> str:
        return self.value


class Outcome(str, Enum):
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"
    NO_BASELINE = "no-baseline"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class RowVerdict:
    """One row's verdict and all that a reader needs to check it; changes in percent, positive when worse.

    `ci_pct`: the two bounds the verdict used. `baseline_value`, `current_value`: session values in `unit`.
    `sessions`: how many accepted sessions it was held against; `last_*`: the newest of them. `slow_launches`
    of `launches` are beyond the margin. `confirmed`: True or False if fresh launches were asked, else None.
    `pairs`: how many interleaved pairs of reference and candidate decided, 0 where the stored comparison did;
    then `baseline_value` is the reference's.
    """

    scenario: str
    metric: str
    verdict: Verdict
    why: tuple[str, ...]
    gated: bool = True
    unit: str = ""
    better: Better = "lower"
    change_pct: float | None = None
    ci_pct: tuple[float, float] | None = None
    mde_pct: float | None = None
    tolerance_pct: float | None = None
    margin_pct: float | None = None
    baseline_value: float | None = None
    current_value: float | None = None
    sessions: int = 0
    last_session: str | None = None
    last_started: str | None = None
    slow_launches: int = 0
    launches: int = 0
    confirmed: bool | None = None
    pairs: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.scenario, self.metric

    @property
    def blind(self) -> bool:
        """Whether a change as large as the margin would probably go unseen."""
        if not self.gated or self.margin_pct is None or not (self.sessions or self.pairs):
            return False
        return self.mde_pct is None or self.mde_pct > self.margin_pct


@dataclass(frozen=True)
class SuiteVerdict:
    """The geometric mean of `rows` of `family` gated rows; `verdict` is None where it was not judged."""

    verdict: Verdict | None
    why: tuple[str, ...]
    rows: int = 0
    family: int = 0
    change_pct: float | None = None
    ci_pct: tuple[float, float] | None = None
    mde_pct: float | None = None
    tolerance_pct: float | None = None
    margin_pct: float | None = None
    sessions: int = 0


@dataclass(frozen=True)
class LimitVerdict:
    """An absolute bound held against a row; `value` is None where the session lacks the metric.

    `weight_pct`: the bound's share of a score card, None where it has none.
    """

    scenario: str
    metric: str
    bound: str
    limit: float
    unit: str
    source: str
    value: float | None
    broken: bool
    why: str
    weight_pct: float | None = None


@dataclass(frozen=True)
class Unheld:
    """A scenario that has limits and was not measured, and the metrics that they bound."""

    scenario: str
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Unmeasured:
    """What a session did not measure and need not have: `accepted` scenarios of its profile, and what limits bound."""

    accepted: tuple[str, ...] = ()
    unheld: tuple[Unheld, ...] = ()


@dataclass(frozen=True)
class SessionVerdict:
    """A session's verdict. `reasons`: why it is invalid; `notes`: what else a reader should know.

    `missing`: accepted scenarios that it should have measured and did not; `unmeasured`: of what else the notes tell
    that it is not there. See gate/unmeasured.py.
    """

    session: str
    outcome: Outcome
    rows: tuple[RowVerdict, ...]
    suite: SuiteVerdict
    limits: tuple[LimitVerdict, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unmeasured: Unmeasured = Unmeasured()

    def row(self, scenario: str, metric: str) -> RowVerdict | None:
        return next((row for row in self.rows if row.key == (scenario, metric)), None)

    def of_scenario(self, scenario: str) -> list[RowVerdict]:
        return [row for row in self.rows if row.scenario == scenario]

    @property
    def lacks_baseline(self) -> bool:
        """Whether anything gated had nothing to be compared with, or anything accepted has nothing to compare."""
        no_baseline = any(row.gated and row.verdict is Verdict.NO_BASELINE for row in self.rows)
        return no_baseline or self.outcome is Outcome.NO_BASELINE or bool(self.missing)

    @property
    def blind(self) -> list[RowVerdict]:
        """Gated rows that would not see a change as large as their margin: a report leads with them."""
        return [row for row in self.rows if row.gated and row.blind]


def outcome_of(valid: bool, rows: Iterable[RowVerdict], suite: SuiteVerdict, limits: Iterable[LimitVerdict]) -> Outcome:
    """The worst thing that was seen; ungated rows count for nothing, and nothing judged is no pass."""
    gated = [row for row in rows if row.gated]
    verdicts = [row.verdict for row in gated]
    if not valid or Verdict.INVALID in verdicts:
        return Outcome.INVALID
    if suite.verdict is not None:
        verdicts.append(suite.verdict)
    if Verdict.REGRESSED in verdicts or any(limit.broken for limit in limits):
        return Outcome.FAIL
    if Verdict.INCONCLUSIVE in verdicts:
        return Outcome.INCONCLUSIVE
    nothing_judged = all(row.metric in OUTPUT_METRICS for row in gated)
    return Outcome.NO_BASELINE if nothing_judged or Verdict.NO_BASELINE in verdicts else Outcome.PASS


def exit_status(verdicts: Sequence[SessionVerdict], require_baseline: bool = False, strict: bool = False) -> int:
    """0 pass, 1 fail, 3 nothing to compare with where required, 4 invalid, or inconclusive under strict.

    Of several, the first of 4, 1, 3 (bad input, 2, is an InputError). A session that is inconclusive counts
    as 3 as well if any of its gated rows has no baseline, or it lacks a scenario that was accepted.
    """
    outcomes = {verdict.outcome for verdict in verdicts}
    if Outcome.INVALID in outcomes or (strict and Outcome.INCONCLUSIVE in outcomes):
        return 4
    if Outcome.FAIL in outcomes:
        return 1
    return 3 if require_baseline and any(verdict.lacks_baseline for verdict in verdicts) else 0


def to_json(verdict: SessionVerdict) -> dict[str, Any]:
    """The object that `tokgate judge --json` prints, one a session."""
    return {
        "session": verdict.session,
        "outcome": verdict.outcome.value,
        "rows": [{"scenario": row.scenario, "metric": row.metric, **_judged(row, row.verdict)} for row in verdict.rows],
        "suite": _judged(verdict.suite, verdict.suite.verdict),
        "limits": [
            {"scenario": limit.scenario, "metric": limit.metric, "broken": limit.broken, "why": limit.why}
            for limit in verdict.limits
        ],
        "reasons": list(verdict.reasons),
        "notes": list(verdict.notes),
    }


def _judged(item: RowVerdict | SuiteVerdict, verdict: Verdict | None) -> dict[str, Any]:
    return {
        "verdict": verdict.value if verdict else None,
        "change_pct": item.change_pct,
        "ci_pct": list(item.ci_pct) if item.ci_pct else None,
        "mde_pct": item.mde_pct,
        "why": "; ".join(item.why),
    }
