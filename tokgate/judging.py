"""Judges stored files, of tokgate or of `vllm bench serve`: reads, narrows, finds their baselines, asks the gate."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from tokgate import session
from tokgate.baselines import Shelf
from tokgate.errors import InputError
from tokgate.gate.history import Baselines
from tokgate.gate.judge import judge_session
from tokgate.gate.unmeasured import measured_beside, without_notes_on
from tokgate.gate.verdict import SessionVerdict
from tokgate.serving import vllm_file, vllm_result
from tokgate.serving.vllm_file import VllmFile
from tokgate.serving.workload import Workload, fitting, model_notes, named, work_faults
from tokgate.session import Session

# Without any of these keys it is none; a session of many launches is large, and need not be decoded twice.
_VLLM_MARKS = tuple(f'"{key}"'.encode() for key in vllm_file.MARKS)


@dataclass(frozen=True)
class Judged:
    """A stored session, its verdict, and what it was held against. `file`: the name of its file, without its folder."""

    session: Session
    verdict: SessionVerdict
    baselines: Baselines
    file: str = ""


@dataclass(frozen=True)
class _Stored:
    """A session of a file, as it is to be judged. `notes`: what the file tells of itself."""

    session: Session
    path: Path
    notes: tuple[str, ...] = ()


def judge_file(path: Path, shelf: Shelf, machine: str | None = None, scenario: str | None = None) -> Judged:
    """Judges the session in `path`. `machine` overrides its machine id; `scenario` narrows it to one scenario.

    A file of `vllm bench serve` says nothing of either: `machine` is required, and `scenario` names the row that it
    is held against, by default the one of its shape. Raises InputError if the file or the baselines cannot be used,
    or hold no such scenario or machine, and for a file of several sessions.
    """
    found = _stored(path, shelf, machine, scenario)
    if len(found) > 1:
        raise session.several(path, [each.session for each in found])
    return _judged(found[0], [], shelf, scenario)


def judge_files(
    paths: Iterable[Path], shelf: Shelf, machine: str | None = None, scenario: str | None = None
) -> Iterator[Judged | InputError]:
    """Judges every session of the files as judge_file does, in their order; for one that cannot be used, its error.

    Of a file of several sessions `scenario` leaves those that measured it. The sessions of one file are of one run: no
    note denies what another one of them measured, see gate/unmeasured.py.
    """
    found = [_stored_or_why(path, shelf, machine, scenario) for path in paths]
    for stored in found:
        if isinstance(stored, InputError):
            yield stored
            continue
        sessions = [each.session for each in stored]
        for each in stored:
            try:
                judged = _judged(each, sessions, shelf, scenario)
            except InputError as error:
                yield error
            else:
                yield judged


def _stored_or_why(path: Path, shelf: Shelf, machine: str | None, scenario: str | None) -> list[_Stored] | InputError:
    try:
        return _stored(path, shelf, machine, scenario)
    except InputError as error:
        return error


def _stored(path: Path, shelf: Shelf, machine: str | None, scenario: str | None) -> list[_Stored]:
    file = _vllm_file(path)
    if file is not None:
        return [_vllm_stored(file, path, shelf, machine, scenario)]
    found = session.read_all(path)
    for each in found:
        if machine is not None and machine != each.machine_id:
            shelf.check_machine(machine)
            each.machine = {**each.machine, "id": machine}
    if scenario is not None:
        return _narrowed(found, scenario, path)
    return [_Stored(each, path) for each in found]


def _vllm_stored(file: VllmFile, path: Path, shelf: Shelf, machine: str | None, scenario: str | None) -> _Stored:
    if machine is None:
        raise InputError(
            f"{path}: a file of vllm bench serve does not say on which machine the server ran; say it: "
            f"--machine ID, a folder of {shelf.root} such as nvidia-t4"
        )
    shelf.check_machine(machine)
    workloads = shelf.workloads(machine)
    faults = vllm_result.faults(file)
    row = _row(file, workloads, scenario, str(path), bool(faults))
    notes = [] if row is None else [*model_notes(file, row, scenario is not None), *vllm_result.notes(file)]
    reasons = [*faults, *([] if row is None else work_faults(file, row))]
    written = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc).isoformat(timespec="seconds")
    found = session.validate(vllm_result.to_session(file, row.scenario if row else None, reasons, machine, written))
    return _Stored(found, path, tuple(notes))


def _row(file: VllmFile, workloads: list[Workload], scenario: str | None, source: str, faulty: bool) -> Workload | None:
    """The row that a file is held against; None for a faulty file whose shape no longer tells."""
    if scenario is not None:
        return named(scenario, workloads, source)
    try:
        return fitting(file, workloads, source)
    except InputError:
        # Failed requests leave no tokens in the totals: an invalid measurement, not a wrong file.
        if not faulty:
            raise
        return None


def _judged(stored: _Stored, sessions: Sequence[Session], shelf: Shelf, scenario: str | None) -> Judged:
    """`sessions`: those that are judged with it; itself may be among them."""
    found = stored.session
    accepted = shelf.baselines(found.machine_id)
    limits = [limit for limit in shelf.limits(found.machine_id) if scenario in (None, limit.scenario)]
    verdict = judge_session(found, accepted, limits)
    if scenario is not None:
        # Who asks for one scenario misses no other.
        verdict = without_notes_on(verdict.unmeasured.accepted, dataclasses.replace(verdict, missing=()))
    verdict = without_notes_on(measured_beside(found, sessions), verdict)
    verdict = dataclasses.replace(verdict, notes=(*stored.notes, *verdict.notes))
    return Judged(found, verdict, accepted, stored.path.name)


def _vllm_file(path: Path) -> VllmFile | None:
    """The file as one of `vllm bench serve`; None if it is none, and what else it is session.read_all says."""
    try:
        content = path.read_bytes()
        if not any(mark in content for mark in _VLLM_MARKS):
            return None
        # The standard library's decoder: Python writes NaN where it has one, and the refusal should name the key.
        data = json.loads(content)
    except (OSError, ValueError):
        return None
    except RecursionError:
        raise InputError(f"{path}: neither a session nor a result: its JSON is nested too deeply") from None
    return vllm_file.parse(data, str(path)) if vllm_file.is_vllm_file(data) else None


def _narrowed(found: Sequence[Session], scenario: str, path: Path) -> list[_Stored]:
    """Of those that measured the scenario, its rows."""
    narrowed = []
    for each in found:
        if rows := [row for row in each.rows if row.scenario == scenario]:
            asked = msgspec.structs.replace(each, rows=rows, family_size=each.gated_family)
            narrowed.append(_Stored(asked, path))
    if not narrowed:
        known = sorted({row.scenario for each in found for row in each.rows})
        raise InputError(f"{path} has no scenario {scenario!r}; it has {', '.join(known)}")
    return narrowed
