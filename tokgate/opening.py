"""From what a command line asks for to an open device run: machine, interpreters, baselines."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokgate.asking import asked_settings, check_judged
from tokgate.environment import check_interpreter
from tokgate.launcher import Progress, Setting
from tokgate.machine.cpumodel import isa
from tokgate.machine.cpus import usable_cores
from tokgate.machine.fingerprint import fingerprint
from tokgate.machine.gpu import gpu_fingerprint, used_gpus
from tokgate.machine.lock import Claim, HeldDevices, cpu_device_name, gpu_claims
from tokgate.models.cache import default_cache_root
from tokgate.models.source import ModelSource
from tokgate.options import DEFAULT_PAIRS, PYTEST_NAMES, Options
from tokgate.outputs import check_folder
from tokgate.run import DeviceRun
from tokgate.scenario import Matrix
from tokgate.serving.remote import Remote


@dataclass(frozen=True)
class Device:
    """What a matrix is measured on: its fingerprint, and what has to be held meanwhile."""

    machine: dict[str, Any]
    claims: tuple[Claim, ...]


def open_run(
    matrix: Matrix,
    options: Options,
    sources: dict[str, ModelSource],
    progress: Progress,
    remote: Remote | None = None,
    devices: HeldDevices | None = None,
) -> DeviceRun:
    """`devices`: what the process holds by now, where it measures other matrices too.

    Raises InputError for a bad machine id or interpreter, too few pairs, a folder of sessions that cannot be written
    to, or baselines that cannot be read; NoDeviceError where the matrix wants GPUs that are not here."""
    _check(options)
    device = find_device(matrix, os.environ) if remote is None else _elsewhere(matrix, remote)
    machine = device.machine
    if options.machine:
        machine["id"] = options.machine
    setting = Setting(
        profile=matrix.profile(options.profile),
        sources=sources,
        cache_root=options.cache_dir or default_cache_root(),
        builder=options.builder,
        python=options.python,
        isa=isa(),
        threads=usable_cores(),
        reference=options.reference,
        pairs=options.pairs,
        machine=machine["stable"],
        load_workers=options.load_workers,
        remote=remote,
        given=options.given,
        names=options.names,
    )
    run = DeviceRun(matrix, options, setting, machine, device.claims, progress, devices or HeldDevices())
    if remote is not None:
        progress.say(f"{remote.model} at {remote.base_url}: prompts are token ids of {matrix.model}'s vocabulary")
        return run
    for source in {row.group.shape: sources[row.group.shape] for row in matrix.rows(options.profile)}.values():
        progress.say(f"{source.model_id}: {source.note}")
    return run


def find_device(matrix: Matrix, environ: Mapping[str, str]) -> Device:
    """The CPUs of this host, or the GPUs that the workers will be shown. Raises as `used_gpus` does."""
    if matrix.device == "cpu":
        return Device(fingerprint(), (Claim(cpu_device_name()),))
    gpus = used_gpus(matrix.gpus, environ)
    claims = tuple(claim for gpu in gpus for claim in gpu_claims(gpu.uuid, gpu.whole_uuid))
    return Device(gpu_fingerprint(matrix.gpus, environ), claims)


def _elsewhere(matrix: Matrix, remote: Remote) -> Device:
    """A machine that nothing can be asked of: its id has to do. What is held is this host, for the client."""
    recorded = {"endpoint": remote.base_url, "client": fingerprint()["stable"]}
    return Device({"id": "", "kind": matrix.device, "stable": {}, "recorded": recorded}, (Claim(cpu_device_name()),))


def pytest_options(option: Any, root: Path, command: str, device: str, modules: Sequence[str] = ()) -> Options:
    """What pytest's options ask for; `root` is what its folders are relative to, `device` the matrix's; `modules`: what
    has to be named to measure the same again.
    """
    return Options(
        command=command,
        again=("pytest", "-m", device, *modules, *_repeated(option)),
        profile=option.perf_profile,
        selection=option.perf_select,
        baselines_dir=root / option.perf_baselines,
        sessions_dir=root / option.perf_sessions,
        cache_dir=Path(option.perf_cache) if option.perf_cache else None,
        lock_timeout_s=option.perf_lock_timeout,
        builder=option.perf_python,
        python=option.perf_python,
        reference=option.perf_reference,
        pairs=option.perf_pairs,
        machine=option.perf_machine,
        trace=option.perf_trace,
        load_workers=option.perf_load_workers,
        given=asked_settings(option),
        names=PYTEST_NAMES,
    )


def _check(options: Options) -> None:
    check_judged(options.machine, options.pairs)
    check_interpreter("the interpreter that builds,", options.builder)
    check_interpreter("the candidate," if options.reference else "the interpreter that measures,", options.python)
    if options.reference:
        check_interpreter("the reference,", options.reference)
    check_folder(options.names.sessions, options.sessions_dir)


def _repeated(option: Any) -> list[str]:
    """The options that decide what is measured and where it is kept, as they must be given again."""
    given = {
        "--perf-profile": option.perf_profile,
        "--perf-model": option.perf_model if option.perf_model != "auto" else None,
        "--perf-machine": option.perf_machine,
        "--perf-baselines": option.perf_baselines if option.perf_baselines != "baselines" else None,
        "--perf-cache": option.perf_cache,
        "--perf-python": option.perf_python if option.perf_python != sys.executable else None,
        "--perf-reference": option.perf_reference,
        "--perf-base-url": option.perf_base_url,
        "--perf-served-model": option.perf_served_model,
        "--perf-api-key-env": option.perf_api_key_env,
        "--perf-load-workers": option.perf_load_workers or None,
        "--perf-pairs": option.perf_pairs if option.perf_pairs != DEFAULT_PAIRS else None,
    }
    settings = [f"--perf-set={word}" for word in option.perf_set]
    return [*(f"{name}={value}" for name, value in given.items() if value), *settings]
