"""Judges a stored file, of tokgate or of `vllm bench serve`: reads, narrows, finds its baselines, asks the gate."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from tokgate import session
from tokgate.baselines import Shelf
from tokgate.errors import InputError
from tokgate.gate.history import Baselines
from tokgate.gate.judge import judge_session
from tokgate.gate.verdict import SessionVerdict
from tokgate.serving import vllm_file, vllm_result
from tokgate.serving.vllm_file import VllmFile
from tokgate.serving.workload import Workload, fitting, model_notes, named, work_faults
from tokgate.session import Session

# Without any of these keys it is none; a session of many launches is large, and need not be decoded twice.
_VLLM_MARKS = tuple(f'"{key}"'.encode() for key in vllm_file.MARKS)


@dataclass(frozen=True)
class Judged:
    """A stored session, its verdict, and what it was held against."""

    session: Session
    verdict: SessionVerdict
    baselines: Baselines


def judge_file(path: Path, shelf: Shelf, machine: str | None = None, scenario: str | None = None) -> Judged:
    """Judges the session in `path`. `machine` overrides its machine id; `scenario` narrows it to one scenario.

    A file of `vllm bench serve` says nothing of either: `machine` is required, and `scenario` names the row that it
    is held against, by default the one of its shape. Raises InputError if the file or the baselines cannot be used,
    or hold no such scenario or machine.
    """
    file = _vllm_file(path)
    if file is not None:
        return _judge_vllm(file, path, shelf, machine, scenario)
    found = session.read(path)
    if machine is not None and machine != found.machine_id:
        shelf.check_machine(machine)
        found.machine = {**found.machine, "id": machine}
    if scenario is not None:
        found = _narrowed(found, scenario, path)
    return _judged(found, shelf, scenario)


def _judge_vllm(file: VllmFile, path: Path, shelf: Shelf, machine: str | None, scenario: str | None) -> Judged:
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
    judged = _judged(found, shelf, scenario)
    verdict = dataclasses.replace(judged.verdict, notes=(*notes, *judged.verdict.notes))
    return dataclasses.replace(judged, verdict=verdict)


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


def _judged(found: Session, shelf: Shelf, scenario: str | None) -> Judged:
    accepted = shelf.baselines(found.machine_id)
    limits = [limit for limit in shelf.limits(found.machine_id) if scenario in (None, limit.scenario)]
    verdict = judge_session(found, accepted, limits)
    # Who asks for one scenario misses no other.
    return Judged(found, verdict if scenario is None else dataclasses.replace(verdict, missing=()), accepted)


def _vllm_file(path: Path) -> VllmFile | None:
    """The file as one of `vllm bench serve`; None if it is none, and what else it is session.read says."""
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


def _narrowed(found: Session, scenario: str, path: Path) -> Session:
    rows = [row for row in found.rows if row.scenario == scenario]
    if not rows:
        known = sorted({row.scenario for row in found.rows})
        raise InputError(f"{path} has no scenario {scenario!r}; it has {', '.join(known)}")
    return msgspec.structs.replace(found, rows=rows, family_size=found.gated_family)
