"""What became of a node: its sessions, each judged by its own machine id, or why there is none to believe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tokgate import session as sessions
from tokgate.errors import InputError
from tokgate.fleet.cluster import Ended
from tokgate.fleet.measured import label, scenarios_of
from tokgate.fleet.task import Answer
from tokgate.gate.unmeasured import measured_beside, without_notes_on
from tokgate.gate.verdict import Outcome, SessionVerdict, SuiteVerdict, exit_status
from tokgate.judging import Judged
from tokgate.session import Session

_TESTS_FAILED = 1
# pytest's own words for its exit statuses.
_STATUSES = {
    2: "pytest was interrupted",
    3: "pytest itself failed",
    4: "pytest was used wrongly",
    5: "nothing was measured",
}


# The worst first, as gate/verdict.py has it of a session's rows.
_WORST = (Outcome.INVALID, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.NO_BASELINE, Outcome.PASS)


@dataclass(frozen=True)
class SessionReport:
    """A session's verdict, of an INVALID one with the reasons; `judged` and `path` where it could be judged and kept.

    `what`: what tells it from the node's others, "" where that is not known. `refused`: the baselines here could not
    be used for it, which is bad input and no fault of the node.
    """

    verdict: SessionVerdict
    judged: Judged | None = None
    path: Path | None = None
    what: str = ""
    refused: bool = False

    @property
    def session(self) -> Session | None:
        return self.judged.session if self.judged else None


@dataclass(frozen=True)
class NodeReport:
    """A node's sessions, one a matrix, at least one: of a node without any an INVALID one says why.

    `fault`: why none of them is to be believed; it leads the reasons of each.
    """

    name: str
    made: tuple[SessionReport, ...]
    answer: Answer | None = None
    notes: tuple[str, ...] = ()
    fault: str = ""

    @property
    def verdicts(self) -> list[SessionVerdict]:
        return [one.verdict for one in self.made]

    @property
    def outcome(self) -> Outcome:
        """Its worst session's."""
        return min((verdict.outcome for verdict in self.verdicts), key=_WORST.index)


@dataclass(frozen=True)
class Gate:
    """How nodes are judged here. `judge`: a session file -> its verdict, as `tokgate judge` finds it.

    `out`: where their sessions go. `commit`: this checkout's, None where git does not say.
    """

    judge: Callable[[Path], Judged]
    out: Path
    require_baseline: bool = False
    strict: bool = False
    commit: str | None = None

    def status(self, verdicts: Sequence[SessionVerdict]) -> int:
        return exit_status(verdicts, require_baseline=self.require_baseline, strict=self.strict)


def report_on(ended: Ended, gate: Gate) -> NodeReport:
    """Keeps the node's sessions in the gate's folder and judges each; whatever hinders that makes it INVALID."""
    name, answer = ended.node.name, ended.answer
    if answer is None:
        return NodeReport(name, (SessionReport(_invalid(ended.reason)),))
    made = _beside_each_other([_judged(content, gate, name) for content in answer.sessions])
    fault = _fault(answer) or _unexplained(answer, [one.verdict for one in made], gate)
    if fault:
        made = [_disbelieved(one, fault) for one in made] or [SessionReport(_invalid(fault))]
    return NodeReport(name, tuple(made), answer, tuple(_notes(answer, gate.commit)), fault)


def with_lacking(reports: Sequence[NodeReport]) -> list[NodeReport]:
    """The reports, with an INVALID session more for each that a node lacks and another of its machine id has.

    pytest passes where it skipped a matrix as a whole and measured another; of one matrix that is status 5.
    """
    return [dataclasses.replace(report, made=(*report.made, *_lacking(report, reports))) for report in reports]


def fleet_status(reports: list[NodeReport], gate: Gate) -> int:
    """Of all sessions of all nodes the first of 2, 4, 1, 3; else 0."""
    if any(one.refused for report in reports for one in report.made):
        return InputError.exit_status
    return gate.status([verdict for report in reports for verdict in report.verdicts])


def _judged(content: bytes, gate: Gate, node: str) -> SessionReport:
    try:
        found = _kept(content, gate.out, node)
    except InputError as error:
        return SessionReport(_invalid(f"its session cannot be used: {error}"))
    path, what = gate.out / f"{found.id}.json", label(found)
    try:
        judged = gate.judge(path)
    except InputError as error:
        return SessionReport(_invalid(str(error)), path=path, what=what, refused=True)
    return SessionReport(judged.verdict, judged, path, what)


def _beside_each_other(made: list[SessionReport]) -> list[SessionReport]:
    """The same; no session's notes deny what another of the node measured."""
    sessions = [one.session for one in made if one.session is not None]
    return [
        dataclasses.replace(one, verdict=without_notes_on(measured_beside(one.session, sessions), one.verdict))
        if one.session is not None
        else one
        for one in made
    ]


def _disbelieved(one: SessionReport, fault: str) -> SessionReport:
    reasons = (fault, *one.verdict.reasons)
    return dataclasses.replace(one, verdict=dataclasses.replace(one.verdict, outcome=Outcome.INVALID, reasons=reasons))


def _fault(answer: Answer) -> str:
    """Why the run is not to be believed, whatever its sessions say; empty if nothing speaks against it."""
    where = f"; its log is {answer.log} on the node" if answer.log else ""
    if answer.status is None:
        return answer.reason + where
    if answer.status not in (0, _TESTS_FAILED):
        ended = f"signal {-answer.status} ended pytest" if answer.status < 0 else _STATUSES.get(answer.status, "")
        return f"{ended or 'pytest failed'} (status {answer.status}){where}"
    if not answer.sessions:
        return f"pytest ended with status {answer.status} and left no session{where}"
    return ""


def _unexplained(answer: Answer, verdicts: Sequence[SessionVerdict], gate: Gate) -> str:
    """What is to be said where its tests failed and none of its sessions does; empty where that is not so."""
    if answer.status != _TESTS_FAILED or gate.status(verdicts) != 0:
        return ""
    outcomes = ", ".join(str(verdict.outcome) for verdict in verdicts)
    yet = f"its session is {outcomes} here" if len(verdicts) == 1 else f"its sessions are {outcomes} here"
    return (
        f"its tests failed there, and yet {yet}: the node's own baselines, or a test that is no row, must say why: "
        f"{answer.log} on the node"
    )


def _lacking(report: NodeReport, reports: Sequence[NodeReport]) -> Iterator[SessionReport]:
    """Of each machine id that it measured as: a session of which it has no row, and another node has some."""
    if report.answer is None or report.fault or any(one.session is None for one in report.made):
        # INVALID or bad input as it is; and of which matrix a session was that cannot be used is not known.
        return
    for machine, made in _by_machine(report).items():
        here = {scenario for session in made for scenario in scenarios_of(session)}
        for node in reports:
            for other in _by_machine(node).get(machine, ()):
                if not scenarios_of(other).isdisjoint(here):
                    continue
                here |= scenarios_of(other)
                what = label(other) or other.id
                reason = (
                    f"{what} was not measured: {node.name}, {machine[0]} too, has a session of it; "
                    f"why there is none here, pytest's log may say: {report.answer.log} on the node"
                )
                yield SessionReport(_invalid(reason), what=what)


def _by_machine(report: NodeReport) -> dict[tuple[str, str], list[Session]]:
    """Its sessions by machine id and profile: matrices may claim GPUs apart and together, as other machines."""
    found: dict[tuple[str, str], list[Session]] = {}
    for one in report.made:
        if one.session is not None:
            found.setdefault((one.session.machine_id, one.session.profile), []).append(one.session)
    return found


def _kept(content: bytes, out: Path, node: str) -> Session:
    """Writes a node's session into `out`, with the node's name in it. Raises InputError if it is none."""
    try:
        data: Any = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise InputError(f"not JSON: {error}") from None
    found = sessions.from_builtins(data, f"the session of {node}")
    found.provenance = {**found.provenance, "node": node}
    if (out / f"{found.id}.json").exists():
        # Made in the same second, with the same four random digits: the store would take it for the other one.
        found.id = f"{found.id}-{node.lower()}"
    sessions.write(found, out)
    return found


def _notes(answer: Answer, commit: str | None) -> list[str]:
    notes = []
    if commit is None or answer.commit is None:
        notes.append(f"commit {_short(answer.commit)}, here {_short(commit)}: whether it is the same code is not known")
    elif answer.commit != commit:
        notes.append(f"commit {_short(answer.commit)}, here {_short(commit)}: not the same code")
    if answer.clean is False:
        notes.append("its checkout has changes that are not committed")
    if answer.niceness > 0:
        notes.append(f"it ran at niceness {answer.niceness}: start Ray there with RAY_worker_niceness=0")
    return notes


def _short(commit: str | None) -> str:
    return commit[:10] if commit else "unknown"


def _invalid(reason: str) -> SessionVerdict:
    return SessionVerdict("", Outcome.INVALID, (), SuiteVerdict(None, ("not judged",)), reasons=(reason,))


def comparable(reports: Sequence[NodeReport]) -> Mapping[str, Sequence[Session]]:
    """Node -> its sessions that can be held against those of others; nodes without one are left out."""
    found = {
        report.name: [
            one.session for one in report.made if one.session is not None and one.verdict.outcome is not Outcome.INVALID
        ]
        for report in reports
    }
    return {node: sessions for node, sessions in found.items() if sessions}
