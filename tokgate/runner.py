"""Measures groups: build what is missing, hold the device, launch, screen, and measure again in fresh launches
or, with a reference, in pairs. Knows nothing of pytest.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from tokgate.engine_modules import missing_engine
from tokgate.engine_settings import loads_skeleton
from tokgate.environment import differences, environment
from tokgate.errors import MeasurementError, TokgateError
from tokgate.gate.reference import Key
from tokgate.given import beyond_context
from tokgate.launch import LaunchRecord
from tokgate.launcher import Launcher, Progress, Setting
from tokgate.models import gpu_fit
from tokgate.models.artifacts import Artifact, ensure, to_build
from tokgate.models.fit import does_not_fit
from tokgate.models.source import ModelSource
from tokgate.pairing import pair_up, same_engine
from tokgate.result import GroupResult
from tokgate.samples import faults_of, rows_of
from tokgate.scenario import Group, Scenario
from tokgate.serving.cores import LEAST_CORES, TOO_FEW_CORES
from tokgate.session import Accuracy, Row
from tokgate.tracing import TRACED_ENGINES


class Screen(Protocol):
    """What the accepted sessions say of a scenario, and of rows that were just measured."""

    def is_accepted(self, scenario: Scenario) -> bool:
        """Whether there is anything to compare it with."""

    def suspects(self, rows: list[Row]) -> set[Key]:
        """The rows that fresh launches may clear."""

    def to_pair(self, rows: list[Row]) -> set[Key]:
        """The rows that only a reference can settle."""


class GroupRunner:
    """Runs whole groups, one after another, each in its planned number of launches."""

    def __init__(self, setting: Setting, screen: Screen, progress: Progress) -> None:
        self._setting = setting
        self._screen = screen
        self._progress = progress
        self._launcher = Launcher(setting, progress)

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
        result.skipped = self.cannot_run(group, scenarios)
        if result.skipped:
            return
        result.faults = self._beyond_context(group, scenarios)
        scenarios = [row for row in scenarios if row.id not in result.faults]
        if not scenarios:
            return
        started = time.monotonic()
        artifact = self.artifact(group)
        result.build_s = time.monotonic() - started
        result.artifact = artifact.meta
        # A reference makes launches of their own needless where no accepted session is there to hold them against.
        if setting.reference is None or any(map(self._screen.is_accepted, scenarios)):
            try:
                starts = self._launcher.fresh("launch", result.launches)
                self._launcher.run("launch", group, scenarios, artifact, starts)
            finally:
                self._collect(scenarios, result)
        if setting.reference is None:
            self._confirm(scenarios, artifact, result)
        else:
            self._pair(setting.reference, scenarios, artifact, result)
        if setting.trace_dir is not None:
            self._trace(scenarios, artifact, setting.trace_dir / group.id, result)

    def _beyond_context(self, group: Group, scenarios: Sequence[Scenario]) -> dict[str, list[str]]:
        """Why, of each that the engine cannot hold: it is INVALID by itself, and ends no launch of the others."""
        told, source = self._setting.told(group), self._setting.sources[group.shape]
        faults = ((row.id, beyond_context(row, told, source)) for row in scenarios)
        return {scenario: [f"it cannot be measured: {fault}"] for scenario, fault in faults if fault}

    def _trace(self, scenarios: Sequence[Scenario], artifact: Artifact, folder: Path, result: GroupResult) -> None:
        """After all that is measured. A trace that fails is told, and takes nothing from the rows."""
        if result.group.engine not in TRACED_ENGINES:
            result.untraced = f"only {', '.join(TRACED_ENGINES)} is traced"
            return
        try:
            result.trace = self._launcher.trace(result.group, scenarios, artifact, folder)
        except MeasurementError as error:
            result.untraced = str(error)

    def artifact(self, group: Group) -> Artifact:
        """What the group's engine loads, built if need be; a server elsewhere loaded its own.

        Raises MeasurementError where an interpreter that is to load it has no such engine, and as `ensure` does.
        """
        setting = self._setting
        if setting.remote is not None:
            return Artifact(Path(), "remote", {})
        for called, python in ((setting.names.python, setting.python), (setting.names.reference, setting.reference)):
            if python is not None and (missing := missing_engine(group.loader, group.device, python, called)):
                raise MeasurementError(missing)
        return ensure(
            setting.sources[group.shape],
            group.loader,
            group.precision,
            setting.cache_root,
            setting.builder,
            setting.isa,
            self._progress.say,
            skeleton=loads_skeleton(group, setting.sources[group.shape]),
        )

    def _confirm(self, scenarios: Sequence[Scenario], artifact: Artifact, result: GroupResult) -> None:
        """Measures the suspects in fresh launches."""
        again = _credible(scenarios, result, self._screen.suspects(_sound(result)))
        if not again:
            return
        try:
            starts = self._launcher.fresh("confirm", result.confirmations)
            self._launcher.run("confirm", result.group, again, artifact, starts)
        finally:
            for scenario in again:
                fresh = {row.metric: row.launches for row in rows_of(scenario, result.confirmations)}
                faults = faults_of(scenario, result.confirmations, self._setting.profile)
                result.faults[scenario.id] += [f"fresh launches: {fault}" for fault in faults]
                result.rows[scenario.id] = _with(result.rows[scenario.id], "confirm", fresh)
            self._check_outputs(result)

    def _pair(self, reference: str, scenarios: Sequence[Scenario], artifact: Artifact, result: GroupResult) -> None:
        """Measures what is open in pairs with the reference: all of it where there were no launches before."""
        setting = self._setting
        keys = self._screen.to_pair(_sound(result)) if result.launches else None
        again = _credible(scenarios, result, keys)
        if not again:
            return
        try:
            starts = self._launcher.in_turns(reference, result.group, result.references, result.candidates)
            self._launcher.run("pairs", result.group, again, artifact, starts)
        finally:
            pairings = pair_up(again, result.references, result.candidates, setting.pairs)
            for scenario in again:
                pairing = pairings[scenario.id]
                rows = result.rows.get(scenario.id) or rows_of(scenario, result.candidates)
                # A gated row that the accepted sessions let pass is not judged anew.
                values = {
                    row.metric: pairing.values[row.metric]
                    for row in rows
                    if row.metric in pairing.values and (keys is None or row.key in keys or not row.gated)
                }
                result.rows[scenario.id] = _with(rows, "pairs", values)
                result.faults.setdefault(scenario.id, []).extend(f"pairs: {fault}" for fault in pairing.faults)
                result.notes += [pairing.note] if pairing.note else []
            self._check_outputs(result)
            found = differences(environment(reference).versions, environment(setting.python).versions)
            result.other_faults += same_engine(result.references, result.candidates, found)

    def cannot_run(self, group: Group, scenarios: Sequence[Scenario]) -> str | None:
        """Why this machine cannot measure the group, by memory with the sum; None if it can."""
        setting = self._setting
        if setting.remote is not None:
            return None
        if group.serves and group.device == "cpu" and setting.threads < LEAST_CORES:
            return TOO_FEW_CORES.format(setting.threads)
        source = setting.sources[group.shape]
        beyond = self._beyond_context(group, scenarios)
        held = [row for row in scenarios if row.id not in beyond] or scenarios
        largest = max(held, key=lambda row: row.batch * (row.prompt_len + row.output_len))
        batch, tokens = largest.batch, largest.prompt_len + largest.output_len
        told, offloaded_bytes = setting.told(group), 0
        if group.device == "gpu":
            # A server is not told how long a sequence may be: vLLM then makes room for the model's longest.
            context = source.shape.max_position_embeddings
            work = gpu_fit.GpuWork(source.shape, group.loader, group.precision, batch, tokens, context, group.gpus)
            work = work.told(told)
            refusal = gpu_fit.cannot_run(work, setting.machine)
            if refusal:
                return refusal
            offloaded_bytes = work.host_bytes
        kind = to_build(
            source,
            group.loader,
            group.precision,
            setting.cache_root,
            setting.isa,
            setting.builder,
            skeleton=loads_skeleton(group, source),
        )
        return does_not_fit(
            source.shape,
            group.loader,
            group.precision,
            batch=batch,
            tokens=tokens,
            builds=kind,
            device=group.device,
            kv_cache_dtype=told.get("kv_cache_dtype"),
            offloaded_bytes=offloaded_bytes,
        )

    def _collect(self, scenarios: Sequence[Scenario], result: GroupResult) -> None:
        for scenario in scenarios:
            result.rows[scenario.id] = rows_of(scenario, result.launches)
            result.faults[scenario.id] = faults_of(scenario, result.launches, self._setting.profile)
        self._check_outputs(result)

    def _check_outputs(self, result: GroupResult) -> None:
        """Not of a server elsewhere: nobody knows its weights."""
        if self._setting.remote is not None:
            return
        source = self._setting.sources[result.group.shape]
        result.accuracy = worst_accuracy(result.group, result.own_launches, source)
        result.reference_accuracy = worst_accuracy(result.group, result.references, source)


def _sound(result: GroupResult) -> list[Row]:
    """The rows without a fault: a faulty one is INVALID anyhow, and tells nothing of its group."""
    return [row for row in result.all_rows if not result.faults.get(row.scenario)]


def _credible(scenarios: Sequence[Scenario], result: GroupResult, keys: Iterable[Key] | None) -> list[Scenario]:
    """Those of `scenarios` that `keys` name (None: all) and that have no fault; a faulty one is INVALID anyhow."""
    names = {scenario.id for scenario in scenarios} if keys is None else {scenario for scenario, _ in keys}
    return [scenario for scenario in scenarios if scenario.id in names and not result.faults.get(scenario.id)]


def _with(rows: Sequence[Row], name: str, values: Mapping[str, list[list[float]]]) -> list[Row]:
    """The rows with field `name` of those whose metric has values."""
    return [
        msgspec.structs.replace(row, **{name: values[row.metric]}) if values.get(row.metric) else row for row in rows
    ]


def worst_accuracy(group: Group, records: Sequence[LaunchRecord], source: ModelSource) -> Accuracy | None:
    """Of all launches the one farthest from the reference: one wrong launch is enough to be wrong."""
    if not records or loads_skeleton(group, source):
        return None
    worst = max((record.accuracy for record in records), key=lambda figures: float(figures["logit_distance"]))
    return Accuracy(group=group.id, reference="transformers fp32", real_weights=source.real_weights, **worst)
