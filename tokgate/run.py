"""One measuring run on one device: what pytest's items ask for, what is judged, and the session that is kept."""

from __future__ import annotations

import dataclasses
import datetime
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokgate import baselines as store
from tokgate import session as sessions
from tokgate.errors import TokgateError
from tokgate.gate import accuracy as accuracy_gate
from tokgate.gate.judge import judge_session, suspects
from tokgate.gate.verdict import SessionVerdict
from tokgate.machine import fingerprint as machines
from tokgate.machine.lock import cpu_device_name, device_lock
from tokgate.models.artifacts import versions
from tokgate.models.source import ModelSource
from tokgate.runner import GroupResult, GroupRunner, Progress, Setting
from tokgate.scenario import Group, Matrix, Scenario
from tokgate.session import Row, Session

# What runs in this process; the versions of what measures come from the interpreter that measures.
SOFTWARE = ("tokgate", "numpy", "scipy", "pytest", "pytest-benchmark")


@dataclass(frozen=True)
class Options:
    """What the command line asked for; `repeated` is what measuring a row again needs of it."""

    profile: str
    selection: str | None
    baselines_dir: Path
    sessions_dir: Path
    lock_timeout_s: float
    repeated: tuple[str, ...]


class DeviceRun:
    """Measures the groups of one matrix when their rows are asked for, and keeps what they gave."""

    def __init__(
        self,
        matrix: Matrix,
        options: Options,
        setting: Setting,
        machine: dict[str, Any],
        progress: Progress,
        command: str,
    ) -> None:
        self.matrix = matrix
        self.options = options
        self.machine = machine
        self.progress = progress
        self._results: dict[str, GroupResult] = {}
        self._selected: list[Scenario] = []
        self._held = ExitStack()
        self._interrupted = False
        self._opened_s = time.monotonic()
        self._waited_s: float | None = None
        self._no_device: TokgateError | None = None
        self._command = command
        self._started = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        self._id = session_id(self._started, machine["id"], options.profile)
        # Each session measures in an order of its own: what an order does is then part of the difference of nights.
        self._setting = dataclasses.replace(setting, seed=self._id)
        self._runner = GroupRunner(self._setting, self._screen, progress)
        self.baselines = store.load(options.baselines_dir, machine["id"])
        self.limits = store.load_limits(options.baselines_dir, machine["id"])

    @property
    def measured(self) -> bool:
        """Whether anything was measured, or at least tried."""
        return bool(self._results)

    @property
    def has_rows(self) -> bool:
        """Whether any of it gave figures."""
        return any(result.all_rows for result in self._results.values())

    def is_accepted(self, scenario: Scenario) -> bool:
        """Whether the machine's baselines hold sessions of this scenario and profile."""
        entries = self.baselines.scenarios.get(scenario.id, ())
        return any(entry.profile == self.options.profile for entry in entries)

    def select(self, scenarios: Iterable[Scenario]) -> None:
        """The scenarios whose items will run; a group measures those of them that are its own."""
        self._selected = list(scenarios)

    def result(self, scenario: Scenario) -> GroupResult:
        """The result of the scenario's group, measured now if it is the first to ask."""
        group = scenario.group
        if group.id not in self._results:
            self._hold_device()
            mine = [row for row in self._selected if row.group == group] or [scenario]
            result = GroupResult(group)
            self._results[group.id] = result
            try:
                self._runner.run(group, mine, result)
            except KeyboardInterrupt:
                self._interrupted = True
                raise
            finally:
                if result.launches:
                    self.save()
        return self._results[group.id]

    def scenario_verdict(self, scenario: Scenario) -> tuple[Session, SessionVerdict]:
        """The scenario's rows as a session of their own, judged: other rows' faults do not touch it."""
        result = self.result(scenario)
        reasons = [*result.faults.get(scenario.id, []), *_group_faults(result)]
        session = self._session([result], result.rows.get(scenario.id, []), reasons)
        return session, judge_session(session, self.baselines, self.limits)

    def session_verdict(self) -> SessionVerdict:
        """The verdicts of everything measured so far, the suite's own row among them."""
        return judge_session(self.session(), self.baselines, self.limits)

    def shown_verdict(self) -> SessionVerdict:
        """The session's verdict with each row by its own faults: a disturbed row does not hide the others."""
        whole = self.session_verdict()
        if not whole.reasons:
            return whole
        judged = [self.scenario_verdict(row)[1] for row in self._selected if row.group.id in self._results]
        rows = {row.key: row for verdict in judged for row in verdict.rows}
        return dataclasses.replace(whole, rows=tuple(rows.values()))

    def session(self) -> Session:
        """Everything measured so far."""
        results = list(self._results.values())
        rows = [row for result in results for row in result.all_rows]
        reasons = [fault for result in results for fault in [*result.all_faults, *_group_faults(result)]]
        if self._interrupted:
            reasons.append("interrupted: only the launches that had ended are here")
        return self._session(results, rows, reasons)

    def skipped(self) -> dict[str, str]:
        """Group id -> why nothing of it was measured."""
        return {result.group.id: result.skipped for result in self._results.values() if result.skipped}

    def command_for(self, scenario: Scenario) -> str:
        """The command that measures this row alone again."""
        options = " ".join(shlex.quote(option) for option in self.options.repeated)
        return f"pytest -m {self.matrix.device} {options} -k {shlex.quote(f'[{scenario.id}]')}"

    @property
    def session_path(self) -> Path:
        return self.options.sessions_dir / f"{self._id}.json"

    def _session(self, results: list[GroupResult], rows: list[Row], reasons: list[str]) -> Session:
        if not rows and not reasons:
            reasons = ["nothing was measured"]
        return Session(
            schema=sessions.SCHEMA,
            id=self._id,
            started=self._started.isoformat(),
            profile=self.options.profile,
            machine=self.machine,
            software=self._software,
            valid=not reasons,
            reasons=reasons,
            rows=rows,
            family_size=self._family_size,
            accuracy=[result.accuracy for result in results if result.accuracy is not None],
            provenance=self._provenance,
            telemetry={"run_s": self._run_s(results), **_telemetry(results)},
        )

    @property
    def _software(self) -> dict[str, str]:
        measured = versions(self._setting.python)
        weights = {f"weights of {source.model_id}": source.identity for source in self._weights()}
        return {**machines.software(SOFTWARE), **measured, **weights}

    def _weights(self) -> list[ModelSource]:
        """The models that were measured; what they are made of is recorded, as a name alone can lie."""
        return [self._setting.sources[shape] for shape in {result.group.shape for result in self._results.values()}]

    @cached_property
    def _provenance(self) -> dict[str, Any]:
        return {"command": self._command, "selection": self.options.selection, **git_state(Path.cwd())}

    @cached_property
    def _family_size(self) -> int:
        """Gated rows of the whole profile that this machine can run, whatever was selected."""
        rows = self.matrix.rows(self.options.profile)
        groups: dict[Group, list[Scenario]] = {}
        for row in rows:
            groups.setdefault(row.group, []).append(row)
        return sum(
            len(row.gated)
            for group, mine in groups.items()
            if self._runner.too_large(group, mine) is None
            for row in mine
        )

    def save(self) -> Path:
        """Writes the session file whole; called after every group, so a killed run leaves what it had."""
        return sessions.write(self.session(), self.options.sessions_dir)

    def _run_s(self, results: list[GroupResult]) -> float:
        """Seconds since the run was opened, without building models and without waiting for the device."""
        idle_s = sum(result.build_s for result in results) + (self._waited_s or 0.0)
        return time.monotonic() - self._opened_s - idle_s

    def close(self) -> None:
        self._held.close()

    def _hold_device(self) -> None:
        """Takes the device for the rest of the run. Raises MeasurementError; asked again, without waiting again."""
        if self._no_device is not None:
            raise self._no_device
        if self._waited_s is not None:
            return
        started = time.monotonic()
        lock = device_lock(cpu_device_name(), self.options.lock_timeout_s, self.progress.say)
        try:
            self._held.enter_context(lock)
        except TokgateError as error:
            self._no_device = error
            raise
        self._waited_s = time.monotonic() - started

    def _screen(self, rows: list[Row]) -> set[str]:
        if not rows:
            return set()
        return {scenario for scenario, _ in suspects(self._session([], rows, []), self.baselines)}


def _group_faults(result: GroupResult) -> list[str]:
    """What makes all of a group's figures worthless: it failed, or its outputs are wrong."""
    failed = [f"{result.group.id}: {result.failed}"] if result.failed else []
    wrong = accuracy_gate.absolute_faults(result.accuracy, result.group.precision) if result.accuracy else []
    return failed + wrong


def session_id(started: datetime.datetime, machine_id: str, profile: str) -> str:
    return f"{started:%Y%m%dT%H%M%SZ}-{machine_id}-{profile}-{secrets.token_hex(2)}"


def git_state(folder: Path) -> dict[str, Any]:
    """Commit and whether the tree was clean, where `folder` is a git checkout; else nothing."""

    def git(*args: str) -> str | None:
        try:
            done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD")
    if commit is None:
        return {}
    return {"commit": commit, "clean": git("status", "--porcelain") == ""}


def _telemetry(results: list[GroupResult]) -> dict[str, Any]:
    """What explains a figure later: launch times, engine, build, and each round's use of the machine."""
    return {
        "python": sys.version.split()[0],
        "measured_s": sum(result.measured_s for result in results),
        "groups": {
            result.group.id: {
                "engine": result.engine,
                "build": result.artifact,
                "launches": [
                    {
                        "load_s": record.load_s,
                        "load_peak_bytes": record.load_peak_bytes,
                        "discarded_s": record.discarded_s,
                        "total_s": record.total_s,
                        "measured_s": record.measured_s,
                        "disturbed": record.disturbed,
                        "rounds": record.events,
                    }
                    for record in [*result.launches, *result.confirmations]
                ],
            }
            for result in results
        },
    }
