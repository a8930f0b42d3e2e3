"""What the pytest hooks and fixtures share: the matrices, the device runs, and the clocks of the items."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tokgate.errors import InputError
from tokgate.machine.lock import HeldDevices
from tokgate.matrices import open_matrix, remote_matrix
from tokgate.models.source import ModelSource
from tokgate.options import PYTEST_NAMES
from tokgate.replay import ReplayClock
from tokgate.scenario import Matrix, Scenario
from tokgate.serving.remote import Remote, RemoteOptions, find_remote

if TYPE_CHECKING:
    from tokgate.report.html.pytest_page import PageWritten
    from tokgate.run import DeviceRun


class Perf:
    """One pytest run. Cheap to make: engines, machine and statistics are looked at when an item needs them."""

    def __init__(
        self,
        option: Any,
        root: Path,
        command: str,
        terminal: Callable[[], AbstractContextManager[None]] | None,
    ) -> None:
        self.option = option
        self.root = root
        self.command = command
        self.expects_rows = False
        self._refusals: dict[str, list[str]] = {}
        self._terminal = terminal
        self._matrices: dict[str, Matrix] = {}
        self._sources: dict[str, ModelSource] = {}
        self._selected: dict[str, list[Scenario]] = {}
        self._runs: dict[str, DeviceRun] = {}
        self._devices = HeldDevices()
        self._modules: dict[str, Path] = {}
        self._clocks: dict[Scenario, ReplayClock] = {}
        self._told: dict[str, list[str]] = {}
        self._nothing_measured: list[str] = []
        self._page: PageWritten | None = None

    def scenarios(self, file: str) -> list[Scenario]:
        """The rows of scenarios/<file> that the options choose, with the ids of the weights in use. Raises InputError,
        as for a selection that a matrix with selections does not have; one without any has no rows of it.
        """
        matrix, profile, selection = self.matrix(file), self.option.perf_profile, self.option.perf_select
        return matrix.rows(profile, selection) if selection is None or matrix.selections else []

    def no_rows(self, file: str) -> str:
        """Why the options choose no row of scenarios/<file>, and which profile does."""
        matrix, profile, selection = self.matrix(file), self.option.perf_profile, self.option.perf_select
        if selection is not None and not matrix.selections:
            return f"{file} has no rows of selection {selection}: none of its rows is in a selection"
        found = [other.name for other in matrix.profiles if matrix.rows(other.name, selection)]
        of = "" if selection is None else f" of selection {selection}"
        measures = f"--perf-profile={found[0]} measures them" if found else "nor in any other"
        return f"{file} has no rows{of} in profile {profile}: {measures}"

    def refuse(self, why: str, file: str) -> None:
        """Keeps why the rows of a matrix cannot be told."""
        self._refusals.setdefault(why, []).append(file)

    @property
    def refusals(self) -> list[str]:
        """Each reason once; with the matrices that have it where others have rows."""
        alike = set().union(*self._refusals.values()) >= self._matrices.keys()
        return [why if alike else f"{', '.join(dict.fromkeys(files))}: {why}" for why, files in self._refusals.items()]

    @property
    def shares_rows(self) -> bool:
        """Whether matrices of different models have rows of one id: one model, or one server, is measured by all."""
        return self.option.perf_model.removeprefix("dummy:") not in ("auto", "dummy") or self.remote is not None

    def measured_elsewhere(
        self, rows: Iterable[tuple[str, Scenario]], modules: Mapping[str, Path]
    ) -> dict[tuple[str, str], str]:
        """(matrix, scenario's id) -> the matrix that measures it instead, in this run. `modules`: of each matrix.

        Of the matrices of one folder, device and number of GPUs that have a row, that of the named model measures it,
        or else that of most rows: the same each night, whatever else is selected beside it.
        """
        self._modules = dict(modules)
        if not self.shares_rows:
            return {}
        named = self.option.perf_model.removeprefix("dummy:")

        def place(file: str) -> tuple[Path, str, int]:
            return modules[file].parent, self.matrix(file).device, self.matrix(file).gpus

        def turn(file: str) -> tuple[bool, int, str]:
            return self.matrix(file).model != named, -len(self.scenarios(file)), file

        owners: dict[tuple[tuple[Path, str, int], str], str] = {}
        ordered = sorted(rows, key=lambda row: turn(row[0]))
        for file, scenario in ordered:
            owners.setdefault((place(file), scenario.id), file)
        found = {(file, scenario.id): owners[place(file), scenario.id] for file, scenario in ordered}
        return {key: owner for key, owner in found.items() if owner != key[0]}

    def matrix(self, file: str) -> Matrix:
        if file not in self._matrices:
            option = self.option
            matrix = open_matrix(file, option.perf_model, self._sources, PYTEST_NAMES.model)
            remote = self.remote
            self._matrices[file] = matrix if remote is None else remote_matrix(matrix, remote)
        return self._matrices[file]

    @cached_property
    def remote(self) -> Remote | None:
        """The server that --perf-base-url names. Raises InputError where it cannot be used."""
        option = self.option
        if option.perf_base_url is None:
            return None
        if option.perf_machine is None:
            raise InputError(
                "--perf-base-url measures a machine that cannot be asked what it is: name it: --perf-machine=ID, as "
                "eks-t4, and its sessions and baselines go by that"
            )
        asked = RemoteOptions(option.perf_base_url, option.perf_served_model, option.perf_api_key_env)
        return find_remote(asked, os.environ)

    def select(self, file: str, scenario: Scenario) -> None:
        self._selected.setdefault(file, []).append(scenario)

    def has_selected(self, file: str) -> bool:
        """Whether items of this matrix's scenarios will run, or have run."""
        return bool(self._selected.get(file))

    def clock(self, scenario: Scenario) -> ReplayClock:
        """The clock that pytest-benchmark reads for this scenario's item."""
        return self._clocks.setdefault(scenario, ReplayClock())

    def run(self, file: str) -> DeviceRun:
        """The device run of a matrix, opened when the first item asks. Raises InputError."""
        if file not in self._runs:
            from tokgate.opening import open_run, pytest_options
            from tokgate.report.progress import open_progress

            matrix = self.matrix(file)
            marker = str(self.option.markexpr) or matrix.device
            # The same row may be in another matrix, of other launches.
            modules = [os.path.relpath(self._modules[file])] if self.shares_rows and file in self._modules else []
            options = pytest_options(self.option, self.root, self.command, marker, modules)
            progress = open_progress(self._terminal, self.option.verbose, self.option.color)
            self._runs[file] = open_run(matrix, options, self._sources, progress, self.remote, self._devices)
            self._runs[file].select(self._selected.get(file, []))
        return self._runs[file]

    def has_accepted(self, file: str, machine_id: str) -> bool:
        """Whether a machine of that id has baselines of any scenario of the matrix. Raises InputError."""
        from tokgate.baselines import load

        stored = load(self.root / self.option.perf_baselines, self.option.perf_machine or machine_id)
        return any(scenario.id in stored.scenarios for scenario in self.scenarios(file))

    def tell(self, file: str, text: str) -> None:
        """Shows a line below the matrix's table."""
        self._told.setdefault(file, []).append(text)

    def is_open(self, file: str) -> bool:
        """Whether any item asked for the device run of this matrix."""
        return file in self._runs

    def session_data(self) -> list[Any]:
        """The sessions measured so far, as JSON-ready data."""
        return [msgspec.to_builtins(run.session()) for run in self._runs.values() if run.measured]

    def left_to_list(self, reports: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """Of pytest's errors and failures, by its own category, those that `report` does not tell; it tells why
        nothing was measured, where that is so.
        """
        if not self.expects_rows or self.option.collectonly or self.has_rows:
            return {}
        from tokgate.report.reasons import left_to_list, nothing_measured

        self._nothing_measured = nothing_measured(reports)
        return left_to_list(reports)

    def report(self, terminalreporter: Any) -> None:
        """Prints why nothing was measured, or the table of every device run, and where the session file is."""
        for line in self._nothing_measured:
            terminalreporter.write_line(line, red=True)
        measured = [run.session() for run in self._runs.values() if run.measured]
        for file, run in self._runs.items():
            if run.measured:
                from tokgate.gate.unmeasured import measured_beside
                from tokgate.report.terminal import write_report

                write_report(run, terminalreporter, measured_beside(run.session(), measured))
                for text in self._told.get(file, []):
                    terminalreporter.write_line(text)
        if self._page is not None:
            terminalreporter.write_line(self._page.text, red=self._page.failed)

    def finish(self, interrupted: bool = False) -> None:
        """Keeps the sessions and frees the devices; then, if one is asked for, writes the HTML report.

        `interrupted`: by Ctrl-C, which may have come between two groups.
        """
        for run in self._runs.values():
            if interrupted:
                run.interrupt()
        measured = [run for run in self._runs.values() if run.measured]
        try:
            for run in measured:
                run.save()
        finally:
            self._devices.release()
        if self.option.perf_report is not None and measured:
            from tokgate.report.html.pytest_page import write_page

            self._page = write_page(measured, Path(self.option.perf_report))

    @property
    def has_rows(self) -> bool:
        """Whether any row was measured."""
        return any(run.has_rows for run in self._runs.values())
