"""Pure functions from sessions to verdicts.

    verdict = judge_session(session, baselines, limits)     what each row, the suite and the session are
    suspects(session, baselines)                            which rows to measure again before that
    exit_status([verdict], require_baseline, strict)        what a command returns
    to_json(verdict)                                        what `tokgate judge --json` prints

The statistics are in variance (moderation), comparison (interval, MDE) and ruling (levels, rule, screen).
"""

from tokgate.gate.history import Accepted, Baselines, StoredRow
from tokgate.gate.judge import judge_session, suspects
from tokgate.gate.limits import Limit
from tokgate.gate.ruling import Levels
from tokgate.gate.verdict import (
    LimitVerdict,
    Outcome,
    RowVerdict,
    SessionVerdict,
    SuiteVerdict,
    Verdict,
    exit_status,
    to_json,
)

__all__ = [
    "Accepted",
    "Baselines",
    "Levels",
    "Limit",
    "LimitVerdict",
    "Outcome",
    "RowVerdict",
    "SessionVerdict",
    "StoredRow",
    "SuiteVerdict",
    "Verdict",
    "exit_status",
    "judge_session",
    "suspects",
    "to_json",
]
