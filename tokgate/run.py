"""One measuring run on one device: what pytest's items ask for, what is judged, and the session that is kept."""

from __future__ import annotations

import dataclasses
import datetime
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from tokgate import baselines as store
from tokgate import provenance
from tokgate import session as sessions
from tokgate.environment import environment
from tokgate.gate.history import Baselines
from tokgate.gate.judge import judge_session, suspects, to_pair
from tokgate.gate.reference import Key
from tokgate.gate.verdict import SessionVerdict
from tokgate.launcher import Progress, Setting
from tokgate.machine import fingerprint as machines
from tokgate.machine.lock import Claim, HeldDevices
from tokgate.models.source import ModelSource
from tokgate.options import Options
from tokgate.result import GroupResult
from tokgate.rowwork import row_work
from tokgate.runner import GroupRunner
from tokgate.scenario import Group, Matrix, Scenario
from tokgate.session import Row, Session

# What runs in this process; the versions of what measures come from the interpreter that measures.
SOFTWARE = ("tokgate", "numpy", "scipy", "pytest", "pytest-benchmark")

# Of rows that a server is measured by: what its load client is made of.
CLIENT_SOFTWARE = ("uvloop", "httptools", "locust", "gevent")


class DeviceRun:
    """Measures the groups of one matrix when their rows are asked for, and keeps what they gave."""

    def __init__(
        self,
        matrix: Matrix,
        options: Options,
        setting: Setting,
        machine: dict[str, Any],
        claims: Sequence[Claim],
        progress: Progress,
        devices: HeldDevices,
    ) -> None:
        self.matrix = matrix
        self.options = options
        self.machine = machine
        self.progress = progress
        self._claims = claims
        self._results: dict[str, GroupResult] = {}
        self._selected: list[Scenario] = []
        self._devices = devices
        self._interrupted = False
        self._opened_s = time.monotonic()
        self._waited_s = 0.0
        self._ended_s = self._opened_s
        self._started = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        self._id = provenance.session_id(self._started, machine["id"], options.profile)
        # Each session measures in an order of its own: what an order does is then part of the difference of nights.
        trace_dir = options.sessions_dir.parent / "traces" / self._id if options.trace else None
        logs_dir = options.sessions_dir / "logs" / self._id
        self._setting = dataclasses.replace(setting, seed=self._id, trace_dir=trace_dir, logs_dir=logs_dir)
        self._runner = GroupRunner(self._setting, self, progress)
        folder = options.baselines_dir
        self.baselines = store.load(folder, machine["id"]) if folder else Baselines(machine["id"])
        self.limits = store.load_limits(folder, machine["id"]) if folder else []

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

    def found(self, name: str) -> tuple[Scenario, GroupResult | None] | None:
        """The selected scenario whose id ends in `name`, and its group's result if there is one by now."""
        for scenario in self._selected:
            if scenario.id.endswith(f".{name}"):
                return scenario, self._results.get(scenario.group.id)
        return None

    def result(self, scenario: Scenario) -> GroupResult:
        """The result of the scenario's group, measured now if it is the first to ask.

        With a reference all selected groups are measured then: the night's level is split over the rows that
        were paired, so none can be judged before all are known.
        """
        groups = [row.group for row in self._selected] if self._setting.reference else []
        for group in dict.fromkeys([scenario.group, *groups]):
            if group.id not in self._results:
                self._measure(group, [row for row in self._selected if row.group == group] or [scenario])
        return self._results[scenario.group.id]

    def _measure(self, group: Group, scenarios: list[Scenario]) -> None:
        self._hold_device()
        result = GroupResult(group)
        self._results[group.id] = result
        try:
            self._runner.run(group, scenarios, result)
        except KeyboardInterrupt:
            self._interrupted = True
            raise
        finally:
            self._ended_s = time.monotonic()
            if result.own_launches:
                self.save()

    def scenario_verdict(self, scenario: Scenario) -> tuple[Session, SessionVerdict]:
        """The scenario's rows as a session of their own, and their verdict: other rows' faults do not touch it.

        They are judged beside the other rows that have no fault: paired rows share their level and their noise.
        """
        # Not result(): after a Ctrl-C a report must not go on measuring.
        result = self._results.get(scenario.group.id) or self.result(scenario)
        reasons = result.faults_of(scenario.id)
        session = self._session([result], result.rows.get(scenario.id, []), reasons)
        if reasons or not session.valid:
            return session, judge_session(session, self.baselines, self.limits)
        sound = [result for result in self._results.values() if not result.group_faults]
        rows = [row for result in sound for row in result.all_rows if not result.faults.get(row.scenario)]
        whole = judge_session(self._session(sound, rows, []), self.baselines, self.limits)
        own = (scenario.id, scenario.group.id)
        return session, dataclasses.replace(
            whole,
            rows=tuple(row for row in whole.rows if row.scenario in own),
            limits=tuple(limit for limit in whole.limits if limit.scenario in own),
        )

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
        reasons = [fault for result in results for fault in [*result.group_faults, *result.all_faults]]
        if self._interrupted:
            # The first, since it explains the others.
            reasons.insert(0, "interrupted: only the launches that had ended are here")
        return self._session(results, rows, reasons)

    @property
    def results(self) -> list[GroupResult]:
        """Of every group that was measured, or at least tried."""
        return list(self._results.values())

    def skipped(self) -> dict[str, str]:
        """Group id -> why nothing of it was measured."""
        return {result.group.id: result.skipped for result in self._results.values() if result.skipped}

    def command_for(self, scenario: Scenario) -> str:
        """The command that measures this row alone again."""
        return shlex.join([*self.options.again, "-k", f"[{scenario.id}]"])

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
            machine={**self.machine, **provenance.measured(list(self._results.values()))},
            software=self._software,
            valid=not reasons,
            reasons=reasons,
            rows=rows,
            family_size=self._family_size,
            accuracy=[result.accuracy for result in results if result.accuracy is not None],
            provenance=self._provenance,
            telemetry={"run_s": self._run_s(results), "work": self._work, **provenance.telemetry(results)},
            given=dict(self.options.given),
        )

    @property
    def _work(self) -> dict[str, dict[str, float]]:
        """What each measured scenario has to read and compute at least."""
        return {row.id: self._work_of(row) for row in self._selected if row.group.id in self._results}

    def _work_of(self, row: Scenario) -> dict[str, float]:
        setting, engine = self._setting, self._results[row.group.id].engine
        shape = setting.sources[row.group.shape].shape
        return row_work(row, shape, setting.told(row.group), engine, remote=setting.remote is not None)

    @property
    def _software(self) -> dict[str, str]:
        if self._setting.remote is not None:
            return machines.software((*SOFTWARE, *CLIENT_SOFTWARE))
        serves = any(row.group.serves for row in self._selected)
        measured = environment(self._setting.python).versions
        weights = {f"weights of {source.model_id}": source.identity for source in self._weights()}
        own = machines.software((*SOFTWARE, *CLIENT_SOFTWARE) if serves else SOFTWARE)
        return {**own, **measured, **weights}

    def _weights(self) -> list[ModelSource]:
        """The models that were measured; what they are made of is recorded, as a name alone can lie."""
        return [self._setting.sources[shape] for shape in {result.group.shape for result in self._results.values()}]

    @cached_property
    def _provenance(self) -> dict[str, Any]:
        return provenance.provenance(self.options, self._setting)

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
            if self._runner.cannot_run(group, mine) is None
            for row in mine
        )

    def save(self) -> Path:
        """Writes the session file whole; called after every group, so a killed run leaves what it had."""
        return sessions.write(self.session(), self.options.sessions_dir)

    def _run_s(self, results: list[GroupResult]) -> float:
        """Seconds from when the run was opened until its last group ended, without building models and without waiting
        for the device.
        """
        idle_s = sum(result.build_s for result in results) + self._waited_s
        return self._ended_s - self._opened_s - idle_s

    def interrupt(self) -> None:
        """Says that no more is measured. A session of less than was selected is then known as such."""
        if any(row.group.id not in self._results for row in self._selected):
            self._interrupted = True

    def close(self) -> None:
        self._devices.release()

    def _hold_device(self) -> None:
        """Takes the device for the rest of the run, or until another matrix's run takes its own. Raises
        MeasurementError.
        """
        started = time.monotonic()
        self._devices.hold(self._claims, self.options.lock_timeout_s, self.progress.say)
        self._waited_s += time.monotonic() - started

    def suspects(self, rows: list[Row]) -> set[Key]:
        """The rows that are slower than the accepted sessions, unless fresh launches clear them."""
        suite_is_judged = sum(len(row.gated) for row in self._selected) >= self._family_size
        return self._screened(partial(suspects, mean_too=suite_is_judged), rows)

    def to_pair(self, rows: list[Row]) -> set[Key]:
        """The rows that the accepted sessions do not settle."""
        return self._screened(to_pair, rows)

    def _screened(self, screen: Callable[[Session, Baselines], list[Key]], rows: list[Row]) -> set[Key]:
        return set(screen(self._session([], rows, []), self.baselines)) if rows else set()
