"""The store: baselines/<machine id>/<scenario id>.json, written by `accept` alone, and limits.toml."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout

from tokgate import tomltext
from tokgate.errors import InputError, TokgateError, unknown
from tokgate.gate.acceptance import Change, Stamp, entries, merge
from tokgate.gate.accuracy import compare_accuracy
from tokgate.gate.canonical import seal, unseal
from tokgate.gate.history import Accepted, Baselines, moment
from tokgate.gate.judge import invalid_reasons
from tokgate.gate.limits import Limit, parse_limits
from tokgate.gate.verdict import Verdict
from tokgate.serving.workload import Workload, parse_workloads
from tokgate.session import Session, check_slug, validate, write_atomically

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Change", "Shelf", "accept", "load", "load_limits", "load_workloads"]

LOCK_NAME = ".lock"
LOCK_TIMEOUT_S = 60.0
LIMITS_NAME = "limits.toml"


class _Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    machine: str
    scenario: str
    sessions: list[Accepted]


class Shelf:
    """The store in `root`, each machine's files read once: for judging many sessions in a row."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.baselines = functools.cache(functools.partial(load, root))
        self.limits = functools.cache(functools.partial(load_limits, root))
        self.workloads = functools.cache(functools.partial(load_workloads, root))

    def check_machine(self, machine_id: str) -> None:
        """Raises InputError for the id of no machine here: a misspelt one has no baseline, and would pass by it."""
        known = sorted(path.name for path in self.root.glob("[!.]*") if path.is_dir())
        if check_slug("--machine", machine_id) not in known:
            why = unknown("machine", machine_id, known) if known else f"no machine {machine_id!r}, nor any other"
            raise InputError(f"{self.root}: {why}")


def load(root: Path, machine_id: str) -> Baselines:
    """The accepted sessions of a machine; none if it has no folder.

    Raises InputError if a file was edited, is of a newer schema, or is not what its place says.
    """
    if root.exists() and not root.is_dir():
        raise InputError(f"{root} is no folder of baselines")
    folder = root / check_slug("machine id", machine_id)
    scenarios = {path.stem: tuple(_read(path, machine_id)) for path in sorted(folder.glob("[!.]*.json"))}
    return Baselines(machine_id, scenarios)


def accept(
    sessions: Sequence[Session],
    root: Path,
    *,
    reason: str,
    replace: bool = False,
    who: str = "",
    now: datetime,
) -> list[Change]:
    """Appends sessions to the store and returns what changed; a machine's are all checked before one is.

    Raises InputError for a session that may not be stored. Each file is replaced whole; after a kill or a
    full disk some files hold the sessions and some do not yet, and the same command adds the rest. With
    `replace` the sessions' profile starts anew in each of their scenarios; other profiles stay. The newest 30
    sessions of a profile are kept. `now` needs a time zone.
    """
    if not reason.strip():
        raise InputError('a reason is needed for the record: --reason "why these numbers are the new normal"')
    if not sessions:
        raise InputError("no session to accept; name the files, as .tokgate/sessions/*.json")
    for session in sessions:
        _check_acceptable(session)
    machines: dict[str, list[Session]] = {}
    for session in sessions:
        machines.setdefault(session.machine_id, []).append(session)
    stamp = Stamp(now.isoformat(timespec="seconds"), reason, who)
    changes: list[Change] = []
    for machine_id, group in sorted(machines.items()):
        folder = root / machine_id
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / LOCK_NAME).acquire(timeout=LOCK_TIMEOUT_S):
                changes += _accept_on_machine(group, root, machine_id, replace, stamp)
        except Timeout:
            raise TokgateError(
                f"{folder / LOCK_NAME} has been held for {LOCK_TIMEOUT_S:.0f} s by another tokgate accept; "
                "try again when it has ended"
            ) from None
        except OSError as error:
            raise TokgateError(
                f"{folder}: cannot be written: {error.strerror}; no file is half written: put that right, "
                "then run the same command again"
            ) from None
    return changes


def load_limits(root: Path, machine_id: str) -> list[Limit]:
    """The absolute bounds of a machine's limits.toml; none if there is no file. Raises InputError."""
    path = _limits_path(root, machine_id)
    return parse_limits(_toml(path), str(path))


def load_workloads(root: Path, machine_id: str) -> list[Workload]:
    """The serving workloads of a machine's limits.toml; none if there is no file. Raises InputError."""
    path = _limits_path(root, machine_id)
    return parse_workloads(_toml(path), str(path))


def _limits_path(root: Path, machine_id: str) -> Path:
    return root / check_slug("machine id", machine_id) / LIMITS_NAME


def _toml(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _read(path: Path, machine_id: str) -> list[Accepted]:
    try:
        payload = unseal(path.read_bytes(), str(path))
        stored = msgspec.convert(payload, _Payload)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: not a baseline: {error}; remove it and accept anew") from None
    if (stored.machine, stored.scenario) != (machine_id, path.stem):
        raise InputError(
            f"{path}: it holds {stored.scenario} on {stored.machine}; a baseline is of the machine that "
            "measured it and is never copied or renamed: remove it and accept sessions of this machine"
        )
    for entry in stored.sessions:
        for metric, row in entry.rows.items():
            if not row.launches or not all(math.isfinite(value) and value > 0 for value in row.launches):
                raise InputError(f"{path}: {metric} of session {entry.id} has no usable launch; accept anew")
    return sorted(stored.sessions, key=lambda entry: entry.when)


def _check_acceptable(session: Session) -> None:
    validate(session)
    moment(session.started, f"session {session.id!r}")
    reasons = invalid_reasons(session)
    if reasons:
        raise InputError(
            f"session {session.id!r} is not valid and cannot be accepted: {'; '.join(reasons)}; measure again"
        )
    if session.given:
        given = tomltext.pairs(session.given)
        raise InputError(
            f"session {session.id!r} was measured with {given}, which its rows' ids do not say: it cannot be accepted; "
            "measure without pytest's --perf-set, or name the setting as a variant"
        )


def _accept_on_machine(
    sessions: Sequence[Session],
    root: Path,
    machine_id: str,
    replace: bool,
    stamp: Stamp,
) -> list[Change]:
    """Under the machine's lock: plans every file, then writes them."""
    folder = root / machine_id
    for leftover in folder.glob(".*.json.*.tmp"):
        leftover.unlink(missing_ok=True)
    store = load(root, machine_id)
    if not replace:
        for session in sessions:
            _check_accuracy(session, store)
    changes: list[Change] = []
    contents: dict[Path, bytes] = {}
    current = dict(store.scenarios)
    for profile in sorted({session.profile for session in sessions}):
        chosen = [session for session in sessions if session.profile == profile]
        for scenario in sorted({row.scenario for session in chosen for row in session.rows}):
            path = folder / f"{scenario}.json"
            new = entries(chosen, scenario, stamp)
            after, change = merge(current.get(scenario, ()), new, path, profile, replace)
            current[scenario] = tuple(after)
            changes.append(change)
            if change.written:
                payload = _Payload(machine=machine_id, scenario=scenario, sessions=after)
                contents[path] = seal(msgspec.to_builtins(payload))
    for path, content in contents.items():
        write_atomically(path, content)
    return changes


def _check_accuracy(session: Session, store: Baselines) -> None:
    """A fast engine with other outputs is not accepted beside the ones that were right."""
    known = [entry for entry in store if entry.profile == session.profile and entry.id != session.id]
    worse = [
        f"{row.scenario}: {row.why[0]}"
        for accuracy in session.accuracy
        for row in compare_accuracy(accuracy, known)
        if row.verdict is Verdict.REGRESSED
    ]
    if worse:
        raise InputError(
            f"session {session.id!r} cannot be accepted, its outputs changed: {'; '.join(worse)}; if they "
            "are meant to, accept it with --replace"
        )
