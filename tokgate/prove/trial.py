"""One night: what tokgate and each rival say of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tokgate.gate.history import Baselines
from tokgate.gate.judge import judge_session, to_pair
from tokgate.gate.reference import Key
from tokgate.gate.verdict import Outcome, SessionVerdict, Verdict
from tokgate.prove import rivals
from tokgate.prove.nights import Night, accepted, newest
from tokgate.session import Session

# What is judged, by the table's columns: tokgate against 5 and 10 accepted sessions and in pairs, and the rivals.
Column = Literal["stored5", "stored10", "paired", "median", "mannwhitney", "welch"]
TOKGATE: tuple[Column, ...] = ("stored5", "stored10", "paired")
RIVALS: tuple[Column, ...] = ("median", "mannwhitney", "welch")
COLUMNS = TOKGATE + RIVALS

# Which rows are measured in pairs: all; the slow one alone; or those that a run would choose (gate.judge.to_pair).
Pairing = Literal["all", "watched", "chosen"]

_RIVALS: dict[Column, rivals.Rival] = {
    "median": rivals.compare_fail_median,
    "mannwhitney": rivals.mann_whitney,
    "welch": rivals.welch,
}


def counted(night: Night, columns: Sequence[Column], pairing: Pairing = "all") -> dict[Column, bool]:
    """By column, whether the night counts: the watched row was caught or, where there is none, the night is red."""
    counts: dict[Column, bool] = {}
    for column, verdict in verdicts(night, columns, pairing).items():
        # The gate's own outcome decides, nothing else: what fails the build is red.
        red = verdict.outcome is Outcome.FAIL
        counts[column] = red and (night.watched is None or _caught(verdict, night.watched))
    rival_columns = [column for column in columns if column in _RIVALS]
    if rival_columns:
        times = rivals.times_of(night.past[-1], night.now)
        for column in rival_columns:
            keys = times.fired(_RIVALS[column])
            counts[column] = bool(keys) if night.watched is None else night.watched in keys
    return counts


def verdicts(night: Night, columns: Sequence[Column], pairing: Pairing = "all") -> dict[Column, SessionVerdict]:
    """The gate's verdicts by its columns. A night in pairs is judged against 5 accepted sessions too."""
    ten = accepted(night.past if "stored10" in columns else night.past[-5:])
    five = newest(ten, 5)
    found: dict[Column, SessionVerdict] = {}
    if "stored5" in columns:
        found["stored5"] = judge_session(night.now, five)
    if "stored10" in columns:
        found["stored10"] = judge_session(night.now, ten)
    if "paired" in columns:
        found["paired"] = judge_session(_in_pairs(night, five, pairing), five)
    return found


def _caught(verdict: SessionVerdict, key: Key) -> bool:
    row = verdict.row(*key)
    return row is not None and row.verdict is Verdict.REGRESSED


def _in_pairs(night: Night, store: Baselines, pairing: Pairing) -> Session:
    if pairing == "all":
        return night.in_pairs(list(night.pairs))
    if pairing == "watched":
        return night.in_pairs([night.watched] if night.watched else [])
    return night.in_pairs(to_pair(night.now, store))
