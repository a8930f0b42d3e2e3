"""What became of a node: its session, judged by its own machine id, or why there is none to believe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tokgate import session as sessions
from tokgate.errors import InputError
from tokgate.fleet.cluster import Ended
from tokgate.fleet.task import Answer
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


@dataclass(frozen=True)
class NodeReport:
    """A node's verdict, of an INVALID one with the reasons; `judged` and `path` where it has a session.

    `refused`: the baselines here could not be used for it, which is bad input and no fault of the node.
    """

    name: str
    verdict: SessionVerdict
    judged: Judged | None = None
    path: Path | None = None
    answer: Answer | None = None
    notes: tuple[str, ...] = ()
    refused: bool = False

    @property
    def session(self) -> Session | None:
        return self.judged.session if self.judged else None


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

    def status(self, verdict: SessionVerdict) -> int:
        return exit_status([verdict], require_baseline=self.require_baseline, strict=self.strict)


def report_on(ended: Ended, gate: Gate) -> NodeReport:
    """Keeps the node's session in the gate's folder and judges it; whatever hinders that makes the node INVALID."""
    name, answer = ended.node.name, ended.answer
    if answer is None:
        return NodeReport(name, _invalid(ended.reason))
    notes = tuple(_notes(answer, gate.commit))
    try:
        paths = [_kept(content, gate.out, name) for content in answer.sessions]
    except InputError as error:
        return NodeReport(name, _invalid(f"its session cannot be used: {error}"), answer=answer, notes=notes)
    fault = _fault(answer, paths)
    if len(paths) != 1:
        return NodeReport(name, _invalid(fault), answer=answer, notes=notes)
    try:
        judged = gate.judge(paths[0])
    except InputError as error:
        return NodeReport(name, _invalid(str(error)), path=paths[0], answer=answer, notes=notes, refused=True)
    verdict = judged.verdict
    if not fault and answer.status == _TESTS_FAILED and gate.status(verdict) == 0:
        fault = (
            f"its tests failed there, and yet its session is {verdict.outcome} here: the node's own baselines, or a "
            f"test that is no row, must say why: {answer.log} on the node"
        )
    if fault:
        verdict = dataclasses.replace(verdict, outcome=Outcome.INVALID, reasons=(fault, *verdict.reasons))
    return NodeReport(name, verdict, judged, paths[0], answer, notes)


def fleet_status(reports: list[NodeReport], gate: Gate) -> int:
    """Of all nodes the first of 2, 4, 1, 3; else 0."""
    if any(report.refused for report in reports):
        return InputError.exit_status
    verdicts = [report.verdict for report in reports]
    return exit_status(verdicts, require_baseline=gate.require_baseline, strict=gate.strict)


def _fault(answer: Answer, paths: list[Path]) -> str:
    """Why the run is not to be believed, whatever its session says; empty if nothing speaks against it."""
    where = f"; its log is {answer.log} on the node" if answer.log else ""
    if answer.status is None:
        return answer.reason + where
    if answer.status not in (0, _TESTS_FAILED):
        ended = f"signal {-answer.status} ended pytest" if answer.status < 0 else _STATUSES.get(answer.status, "")
        return f"{ended or 'pytest failed'} (status {answer.status}){where}"
    if not paths:
        return f"pytest ended with status {answer.status} and left no session{where}"
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        return f"it made {len(paths)} sessions, one a matrix ({names}); name one test module after the options"
    return ""


def _kept(content: bytes, out: Path, node: str) -> Path:
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
    return sessions.write(found, out)


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


def comparable(reports: list[NodeReport]) -> Mapping[str, Session]:
    """Node -> session of those that can be held against each other."""
    return {
        report.name: report.session
        for report in reports
        if report.session is not None and report.verdict.outcome is not Outcome.INVALID
    }
