"""From the command line's options to an open device run: machine, interpreter, progress, baselines."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tokgate.errors import InputError
from tokgate.machine.cpumodel import isa
from tokgate.machine.cpus import usable_cores
from tokgate.machine.fingerprint import fingerprint
from tokgate.models.artifacts import versions
from tokgate.models.cache import default_cache_root
from tokgate.models.source import ModelSource
from tokgate.report.progress import open_progress
from tokgate.run import DeviceRun, Options
from tokgate.runner import Setting
from tokgate.scenario import Matrix
from tokgate.session import check_slug


def open_run(
    matrix: Matrix,
    option: Any,
    root: Path,
    sources: dict[str, ModelSource],
    command: str,
    terminal: Callable[[], AbstractContextManager[None]] | None,
) -> DeviceRun:
    """Raises InputError for a bad machine id or interpreter, or baselines that cannot be read."""
    if shutil.which(option.perf_python) is None:
        raise InputError(f"--perf-python {option.perf_python}: no such interpreter")
    versions(option.perf_python)  # raises if it is no Python
    sessions_dir = root / option.perf_sessions
    try:
        sessions_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--perf-sessions={sessions_dir} cannot be made: {error.strerror}") from None
    machine = fingerprint()
    if option.perf_machine:
        machine["id"] = check_slug("--perf-machine", option.perf_machine)
    options = Options(
        profile=option.perf_profile,
        selection=option.perf_select,
        baselines_dir=root / option.perf_baselines,
        sessions_dir=sessions_dir,
        lock_timeout_s=option.perf_lock_timeout,
        repeated=_repeated(option),
    )
    setting = Setting(
        profile=matrix.profile(option.perf_profile),
        sources=sources,
        cache_root=Path(option.perf_cache) if option.perf_cache else default_cache_root(),
        python=option.perf_python,
        isa=isa(),
        threads=usable_cores(),
    )
    run = DeviceRun(matrix, options, setting, machine, open_progress(terminal, option.verbose), command)
    for source in {row.group.shape: sources[row.group.shape] for row in matrix.rows(option.perf_profile)}.values():
        run.progress.say(f"{source.model_id}: {source.note}")
    return run


def _repeated(option: Any) -> tuple[str, ...]:
    """The options that decide what is measured and where it is kept, as they must be given again."""
    given = {
        "--perf-profile": option.perf_profile,
        "--perf-model": option.perf_model if option.perf_model != "auto" else None,
        "--perf-machine": option.perf_machine,
        "--perf-baselines": option.perf_baselines if option.perf_baselines != "baselines" else None,
        "--perf-cache": option.perf_cache,
        "--perf-python": option.perf_python if option.perf_python != sys.executable else None,
    }
    return tuple(f"{name}={value}" for name, value in given.items() if value)
