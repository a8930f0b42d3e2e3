"""Measures groups: build what is missing, hold the device, launch, screen, confirm. Knows nothing of pytest."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from tokgate.errors import TokgateError
from tokgate.launch import LaunchRecord, run_launch
from tokgate.models.artifacts import Artifact, ensure, is_built
from tokgate.models.fit import does_not_fit
from tokgate.models.source import ModelSource
from tokgate.plan import PLAN_SCHEMA, LaunchPlan, PlanRow
from tokgate.samples import faults_of, rows_of
from tokgate.scenario import Group, Profile, Scenario
from tokgate.session import Accuracy, Row

# One prompt seed for ever: sessions must do the same work to be comparable.
_PROMPT_SEED = 20261121
_LEAST_REPEATS = 4


class Progress(Protocol):
    """Shows a person what runs. `total` counts rounds."""

    def say(self, text: str) -> None: ...

    def start(self, title: str, total: int) -> None: ...

    def advance(self, detail: str) -> None: ...

    def finish(self) -> None: ...


@dataclass(frozen=True)
class Setting:
    """What stays the same for all groups of a run: where, with what, and how much."""

    profile: Profile
    sources: dict[str, ModelSource]
    cache_root: Path
    python: str
    isa: str
    threads: int
    seed: str = ""


@dataclass
class GroupResult:
    """What a group's launches gave: rows and faults by scenario id, or why nothing was measured.

    `skipped` is a reason that is nobody's fault (not enough memory); `failed` an error of the group.
    """

    group: Group
    rows: dict[str, list[Row]] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    accuracy: Accuracy | None = None
    skipped: str | None = None
    failed: str | None = None
    engine: dict[str, str] = field(default_factory=dict)
    artifact: dict[str, Any] = field(default_factory=dict)
    launches: list[LaunchRecord] = field(default_factory=list)
    confirmations: list[LaunchRecord] = field(default_factory=list)
    build_s: float = 0.0

    @property
    def measured_s(self) -> float:
        """Seconds inside measured rounds."""
        return sum(record.measured_s for record in [*self.launches, *self.confirmations])

    @property
    def all_rows(self) -> list[Row]:
        return [row for rows in self.rows.values() for row in rows]

    @property
    def all_faults(self) -> list[str]:
        return [f"{scenario}: {fault}" for scenario, faults in self.faults.items() for fault in faults]


# From a group's rows to the scenario ids that look slower than the accepted sessions.
Screen = Callable[[list[Row]], set[str]]


class GroupRunner:
    """Runs whole groups, one after another, each in its planned number of launches."""

    def __init__(self, setting: Setting, screen: Screen, progress: Progress) -> None:
        self._setting = setting
        self._screen = screen
        self._progress = progress

    def run(self, group: Group, scenarios: Sequence[Scenario], result: GroupResult) -> None:
        """Measures the group into `result`. Its own failures end there too; a KeyboardInterrupt passes through."""
        try:
            self._run(group, scenarios, result)
        except TokgateError as error:
            result.failed = str(error)
        except Exception as error:
            # Not ours to explain, but its session must not look whole.
            result.failed = f"{type(error).__name__}: {error}"
            raise

    def _run(self, group: Group, scenarios: Sequence[Scenario], result: GroupResult) -> None:
        setting = self._setting
        source = setting.sources[group.shape]
        result.skipped = self.too_large(group, scenarios)
        if result.skipped:
            return
        started = time.monotonic()
        artifact = ensure(
            source,
            group.engine,
            group.precision,
            setting.cache_root,
            setting.python,
            setting.isa,
            self._progress.say,
        )
        result.build_s = time.monotonic() - started
        result.artifact = artifact.meta
        try:
            self._launch(group, scenarios, artifact, result.launches, setting.profile.launches, "launch")
        finally:
            self._collect(group, scenarios, result)
        suspects = self._screen(result.all_rows)
        again = [scenario for scenario in scenarios if scenario.id in suspects and not result.faults[scenario.id]]
        if again:
            self._launch(group, again, artifact, result.confirmations, setting.profile.launches, "confirm")
            _confirm(result, again, setting.profile)

    def too_large(self, group: Group, scenarios: Sequence[Scenario]) -> str | None:
        """Why the group does not fit into this machine's memory, with the sum; None if it does."""
        setting = self._setting
        source = setting.sources[group.shape]
        largest = max(scenarios, key=lambda row: row.batch * (row.prompt_len + row.output_len))
        built = is_built(source, group.engine, group.precision, setting.cache_root, setting.isa, setting.python)
        return does_not_fit(
            source.shape,
            group.engine,
            group.precision,
            batch=largest.batch,
            tokens=largest.prompt_len + largest.output_len,
            needs_build=not built,
        )

    def _launch(
        self,
        group: Group,
        scenarios: Sequence[Scenario],
        artifact: Artifact,
        records: list[LaunchRecord],
        launches: int,
        what: str,
    ) -> None:
        rounds = self._setting.profile.rounds
        self._progress.start(f"{group.id} {what}", launches * rounds * len(scenarios))
        try:
            for number in range(launches):
                plan = self._plan(group, scenarios, artifact, f"{what} {number}")

                def heard(scenario_id: str, number: int = number) -> None:
                    row = scenario_id.removeprefix(f"{group.id}.")
                    self._progress.advance(f"{what} {number + 1}/{launches} {row}")

                records.append(run_launch(plan, self._setting.python, heard))
        finally:
            self._progress.finish()

    def _plan(self, group: Group, scenarios: Sequence[Scenario], artifact: Artifact, launch: str) -> LaunchPlan:
        setting = self._setting
        settings = dict(group.settings)
        if group.engine == "transformers":
            settings["dtype"] = group.precision
        rounds = setting.profile.rounds
        return LaunchPlan(
            schema=PLAN_SCHEMA,
            engine=group.engine,
            model_dir=str(artifact.path),
            vocab_size=setting.sources[group.shape].vocab_size,
            settings=settings,
            threads=setting.threads,
            rounds=rounds,
            # As many again: a neighbour's burst is waited out, a machine that is always busy is given up.
            repeats=max(_LEAST_REPEATS, rounds * len(scenarios)),
            order_seed=random.Random(f"{setting.seed} {group.id} {launch}").randrange(2**32),
            prompt_seed=_PROMPT_SEED,
            rows=tuple(PlanRow(row.id, row.batch, row.prompt_len, row.output_len) for row in scenarios),
        )

    def _collect(self, group: Group, scenarios: Sequence[Scenario], result: GroupResult) -> None:
        for scenario in scenarios:
            result.rows[scenario.id] = rows_of(scenario, result.launches)
            result.faults[scenario.id] = faults_of(scenario, result.launches, self._setting.profile)
        if result.launches:
            result.engine = result.launches[0].engine
            result.accuracy = _worst_accuracy(group, result.launches, self._setting.sources[group.shape])


def _confirm(result: GroupResult, scenarios: Sequence[Scenario], profile: Profile) -> None:
    for scenario in scenarios:
        fresh = {row.metric: row.launches for row in rows_of(scenario, result.confirmations)}
        faults = faults_of(scenario, result.confirmations, profile)
        result.faults[scenario.id] += [f"fresh launches: {fault}" for fault in faults]
        result.rows[scenario.id] = [
            msgspec.structs.replace(row, confirm=fresh[row.metric]) if row.metric in fresh else row
            for row in result.rows[scenario.id]
        ]


def _worst_accuracy(group: Group, records: Sequence[LaunchRecord], source: ModelSource) -> Accuracy:
    """Of all launches the one farthest from the reference: one wrong launch is enough to be wrong."""
    worst = max((record.accuracy for record in records), key=lambda figures: float(figures["logit_distance"]))
    return Accuracy(group=group.id, reference="transformers fp32", real_weights=source.real_weights, **worst)
