"""From a sweep to what it runs on: the machine, the interpreter, the models, and what may not change meanwhile."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tokgate import __version__
from tokgate.environment import check_interpreter, environment
from tokgate.errors import TokgateError
from tokgate.gate.reference import Key
from tokgate.launcher import Launcher, Progress, Setting
from tokgate.machine.cpumodel import isa
from tokgate.machine.cpus import usable_cores
from tokgate.models.artifacts import Artifact
from tokgate.models.cache import default_cache_root
from tokgate.opening import Device, find_device
from tokgate.runner import GroupRunner
from tokgate.scenario import Scenario
from tokgate.session import Row
from tokgate.sweep.candidates import PROFILE, Candidate, Opened
from tokgate.sweep.file import Sweep

# Of the file what decides how launches are read, not what they are: it may change while a sweep goes on.
_MAY_CHANGE = ("launches", "objective", "constraint")


class _NoScreen:
    """A sweep is held against nothing that was accepted."""

    def is_accepted(self, scenario: Scenario) -> bool:
        return False

    def suspects(self, rows: list[Row]) -> set[Key]:
        return set()

    def to_pair(self, rows: list[Row]) -> set[Key]:
        return set()


@dataclass
class Bench:
    """What launches are made with.

    By candidate: `refused`, why this machine cannot measure it; `unbuilt`, why its model could not be built.
    """

    sweep: Sweep
    opened: Opened
    device: Device
    setting: Setting
    runner: GroupRunner
    launcher: Launcher
    refused: dict[int, str] = field(default_factory=dict)
    unbuilt: dict[int, str] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)

    @property
    def open_candidates(self) -> list[Candidate]:
        return [each for each in self.opened.candidates if each.number not in {*self.refused, *self.unbuilt}]

    def refuse(self) -> None:
        """Asks of each candidate whether it fits this machine."""
        for candidate in self.opened.candidates:
            why = self._why_not(candidate)
            if why:
                self.refused[candidate.number] = why

    def build(self) -> None:
        """Every model before the first launch: the passes are not to be held up by one. A failure is its own."""
        failed: dict[str, str] = {}
        for candidate in self.open_candidates:
            group = candidate.scenario.group
            if group.precision not in self.artifacts and group.precision not in failed:
                try:
                    self.artifacts[group.precision] = self.runner.artifact(group)
                except TokgateError as error:
                    failed[group.precision] = str(error)
            if group.precision in failed:
                self.unbuilt[candidate.number] = failed[group.precision]

    def _why_not(self, candidate: Candidate) -> str | None:
        group = candidate.scenario.group
        threads = group.settings.get("threads")
        if group.engine == "onnx" and isinstance(threads, int) and threads > self.setting.threads:
            return f"{threads} threads; this process may use {self.setting.threads} cores"
        try:
            return self.runner.cannot_run(group, [candidate.scenario])
        except TokgateError as error:
            return str(error)


def open_bench(
    sweep: Sweep, opened: Opened, python: str, builder: str, cache: Path | None, logs_dir: Path, progress: Progress
) -> Bench:
    """Raises InputError for an interpreter that is none, NoDeviceError where the GPUs are not here."""
    check_interpreter("the interpreter that builds,", builder)
    check_interpreter("the interpreter that measures,", python)
    device = find_device(opened.matrix, os.environ)
    setting = Setting(
        profile=opened.matrix.profile(PROFILE),
        sources=opened.sources,
        cache_root=cache or default_cache_root(),
        builder=builder,
        python=python,
        isa=isa(),
        threads=usable_cores(),
        seed=f"sweep {sweep.name}",
        machine=device.machine["stable"],
        logs_dir=logs_dir,
    )
    bench = Bench(
        sweep, opened, device, setting, GroupRunner(setting, _NoScreen(), progress), Launcher(setting, progress)
    )
    bench.refuse()
    return bench


def identity(bench: Bench) -> dict[str, Any]:
    """What all launches of a sweep have in common: another file, machine, model or version is another sweep."""
    spec = msgspec.to_builtins(bench.sweep.spec)
    return {
        "file": {name: value for name, value in spec.items() if name not in _MAY_CHANGE},
        "machine": {"id": bench.device.machine["id"], **bench.device.machine["stable"]},
        "software": software(bench),
    }


def software(bench: Bench) -> dict[str, str]:
    source = bench.opened.source
    return {
        "tokgate": __version__,
        **environment(bench.setting.python).versions,
        f"weights of {source.model_id}": source.identity,
    }
