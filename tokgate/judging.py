"""Judges a stored session file: reads, narrows, finds its baselines, asks the gate."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tokgate import baselines, session
from tokgate.errors import InputError
from tokgate.gate.judge import judge_session
from tokgate.gate.verdict import SessionVerdict
from tokgate.session import Session


def judge_file(
    path: Path, baselines_dir: Path, machine: str | None = None, scenario: str | None = None
) -> tuple[Session, SessionVerdict]:
    """Judges the session in `path`. `machine` overrides its machine id; `scenario` narrows it to one scenario.

    Raises InputError if the file or the baselines cannot be used, or hold no such scenario.
    """
    found = session.read(path)
    if machine is not None:
        found.machine = {**found.machine, "id": session.check_slug("--machine", machine)}
    if scenario is not None:
        found = _narrowed(found, scenario, path)
    store = baselines.load(baselines_dir, found.machine_id)
    limits = baselines.load_limits(baselines_dir, found.machine_id)
    return found, judge_session(found, store, limits)


def _narrowed(found: Session, scenario: str, path: Path) -> Session:
    rows = [row for row in found.rows if row.scenario == scenario]
    if not rows:
        known = sorted({row.scenario for row in found.rows})
        raise InputError(f"{path} has no scenario {scenario!r}; it has {', '.join(known)}")
    return msgspec.structs.replace(found, rows=rows, family_size=found.gated_family)
