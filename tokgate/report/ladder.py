"""What each step of an optimisation ladder gave, from stored sessions. Pure; nothing here is a verdict.

A change is told as a factor, above 1 where the step is better, whatever the metric's direction. Its interval knows the
launches of the two rows alone: what else differed between two sessions is in neither.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tokgate import tomltext
from tokgate.errors import InputError
from tokgate.gate.change import Change, change_between, launch_prior
from tokgate.gate.fingerprint import stable_differences
from tokgate.gate.history import accuracy_for
from tokgate.gate.judge import invalid_reasons
from tokgate.report.figures import typical
from tokgate.report.html.data import model_of
from tokgate.report.ladder_file import Ladder, Step
from tokgate.session import Accuracy, Row, Session

# Column -> the metrics that may stand there, the first that a session has.
METRICS: dict[str, tuple[str, ...]] = {
    "tok/s": ("output_throughput",),
    "TTFT": ("ttft",),
    "TPOT": ("tpot",),
    "answer": ("e2el",),
    "memory": ("peak_gpu_memory", "peak_memory"),
}
# Of a session's command what is of every step: the weights, how much is measured, and where things lie.
_OF_ALL = frozenset({"--perf-model", "--perf-profile", "--perf-baselines", "--perf-cache", "--perf-sessions"})
Standing = Literal["measured", "INVALID", "not measured"]


@dataclass(frozen=True)
class Rung:
    """One step as it was found. `session`: the one that measured it, or that says why it is INVALID; "" if none.

    `rows`, `before` and `first` by column of METRICS: its rows, the changes against the step before and the first one;
    left out where one of the two was not measured. `why`: what is to be said of a step that was not.
    """

    step: Step
    standing: Standing
    session: str = ""
    why: tuple[str, ...] = ()
    rows: Mapping[str, Row] = field(default_factory=dict)
    before: Mapping[str, Change] = field(default_factory=dict)
    first: Mapping[str, Change] = field(default_factory=dict)
    accuracy: Accuracy | None = None

    def value(self, column: str) -> float | None:
        """As the gate judges it, in the row's unit."""
        row = self.rows.get(column)
        return None if row is None else typical(row)


@dataclass(frozen=True)
class Climb:
    """A ladder with what was measured of it, on one machine and one model. `notes`: what a reader should know."""

    title: str
    machine: str
    model: str
    rungs: tuple[Rung, ...]
    notes: tuple[str, ...]


def climb(ladder: Ladder, sessions: Sequence[Session]) -> Climb:
    """Each step by the newest session that measured it validly, with its own settings and no given ones.

    Raises InputError for sessions of several machines or models, and where no step was measured at all.
    """
    machine = _one_machine(sessions)
    other = [session for session in sessions if session.given]
    sessions = [session for session in sessions if not session.given]
    newest = sorted(sessions, key=lambda session: session.started, reverse=True)
    found = [_found(step, newest) for step in ladder.step]
    models = _models(ladder, sessions)
    if len(models) > 1:
        raise InputError(
            f"the sessions hold rows of several models: {', '.join(sorted(models))}; a ladder is of one: leave the "
            "others' sessions out"
        )
    if not any(rung.standing == "measured" for rung in found):
        commands = "; ".join(dict.fromkeys(_command(step, newest) for step in ladder.step))
        reasons = "".join(f" {rung.step.name}: {rung.why[0]}." for rung in found if rung.standing == "INVALID")
        raise InputError(f"no step of the ladder was measured in these sessions.{reasons} Measure them: {commands}")
    rungs = tuple(_compared(found))
    return Climb(ladder.title, machine, next(iter(models)), rungs, (*_left_out(other), *_notes(rungs)))


def _left_out(sessions: Sequence[Session]) -> Iterator[str]:
    for session in sessions:
        yield f"{session.id} is left out: measured with {tomltext.pairs(session.given)}, which its ids do not say."


def _one_machine(sessions: Sequence[Session]) -> str:
    ids = list(dict.fromkeys(session.machine_id for session in sessions))
    if len(ids) > 1:
        each = ", ".join(f"{session.id} of {session.machine_id}" for session in sessions)
        raise InputError(f"a ladder is climbed on one machine, and these are sessions of {len(ids)}: {each}")
    first = sessions[0]
    for other in sessions[1:]:
        differences = stable_differences(first.machine, other.machine)
        if differences:
            raise InputError(
                f"a ladder is climbed on one machine, and {first.id} and {other.id} differ in "
                f"{', '.join(map(str, differences))}"
            )
    return ids[0]


def _models(ladder: Ladder, sessions: Sequence[Session]) -> set[str]:
    rows = {step.row for step in ladder.step}
    scenarios = {row.scenario for session in sessions for row in session.rows}
    return {model for name in scenarios if (model := model_of(name)) and name.removeprefix(f"{model}.") in rows}


def _found(step: Step, newest: Sequence[Session]) -> Rung:
    """Newer sessions whose figures cannot be believed are told."""
    doubts: list[tuple[str, str]] = []
    for session in newest:
        rows = [row for row in session.rows if _is(step.row, row.scenario)]
        reasons = _faults(session, step.row, rows[0] if rows else None)
        doubts += [(session.id, reason) for reason in reasons]
        if rows and not reasons:
            newer = tuple(f"INVALID in the newer {name}: {reason}" for name, reason in doubts)
            accuracy = accuracy_for(session, rows[0].scenario, rows[0].group)
            return Rung(step, "measured", session.id, newer, _columns(rows), accuracy=accuracy)
    if doubts:
        return Rung(step, "INVALID", doubts[0][0], (*(reason for _, reason in doubts), _remedy(step, newest)))
    return Rung(step, "not measured", why=(_remedy(step, newest),))


def _remedy(step: Step, newest: Sequence[Session]) -> str:
    return f"measure it: {_command(step, newest)}"


def _command(step: Step, newest: Sequence[Session]) -> str:
    """The step's, with what decided the newest session: the model's weights, the profile, where models are built."""
    told = (session.provenance.get("again") for session in newest)
    again = next((text for text in told if isinstance(text, str) and text.startswith("pytest ")), "")
    try:
        options = [word for word in shlex.split(again) if word.startswith("--perf-")]
    except ValueError:
        return step.measure
    own = {word.partition("=")[0] for word in step.measure.split()}
    added = [word for word in options if word.partition("=")[0] in _OF_ALL - own]
    return " ".join([step.measure, shlex.join(added)]) if added else step.measure


def _is(row: str, scenario: str) -> bool:
    model = model_of(scenario)
    return bool(model) and scenario == f"{model}.{row}"


def _faults(session: Session, step_row: str, row: Row | None) -> list[str]:
    """Why the session's figures of a step cannot be believed: what is told of another scenario or group is not that.

    Of a step without rows what is told of it, or of its group: then it was tried.
    """
    names = _names(step_row) if row is None else {row.scenario, row.group or row.scenario.rsplit(".", 3)[0]}
    faults = []
    for reason in invalid_reasons(session):
        subject = reason.partition(": ")[0].partition(" against ")[0]
        about = subject if " " not in subject and model_of(subject) else None
        if row is None:
            mine = about is not None and about.removeprefix(f"{model_of(about)}.") in names
        else:
            mine = about is None or about in names
        faults += [reason] if mine else []
    return faults


def _names(step_row: str) -> set[str]:
    return {step_row, step_row.rsplit(".", 3)[0]}


def _columns(rows: Sequence[Row]) -> dict[str, Row]:
    by_metric = {row.metric: row for row in rows}
    found = {
        column: next((by_metric[metric] for metric in metrics if metric in by_metric), None)
        for column, metrics in METRICS.items()
    }
    return {column: row for column, row in found.items() if row is not None}


def _compared(found: Sequence[Rung]) -> Iterator[Rung]:
    """The rungs with their changes; one whose step before was not measured has none against that."""
    priors = {column: launch_prior([rung.rows[column] for rung in found if column in rung.rows]) for column in METRICS}

    def changes(older: Rung, newer: Rung) -> dict[str, Change]:
        return {
            column: change_between(older.rows[column], row, priors[column])
            for column, row in newer.rows.items()
            if column in older.rows and older.rows[column].metric == row.metric
        }

    for place, rung in enumerate(found):
        if place == 0:
            yield rung
            continue
        yield Rung(
            rung.step, rung.standing, rung.session, rung.why, rung.rows,
            before=changes(found[place - 1], rung), first=changes(found[0], rung), accuracy=rung.accuracy,
        )  # fmt: skip


def _notes(rungs: Sequence[Rung]) -> Iterator[str]:
    measured = {rung.session for rung in rungs if rung.standing == "measured"}
    if len(measured) > 1:
        yield (
            f"Steps of {len(measured)} sessions: what the machine did differently between them is in the changes, and "
            "not in their intervals."
        )
    if any(change.interval is None for rung in rungs for change in rung.before.values()):
        yield "Changes without an interval: a single launch of one of the two cannot tell how much launches differ."
    weights = {rung.accuracy.real_weights for rung in rungs if rung.accuracy is not None}
    if weights == {False}:
        yield "Dummy weights: as fast as real ones, but rounding moves their outputs much further."
