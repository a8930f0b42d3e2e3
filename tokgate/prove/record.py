"""Records launches of this machine: the worker, the plan and the rows are those of a measuring run."""

from __future__ import annotations

import dataclasses
import datetime
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tokgate.engine_settings import engine_settings
from tokgate.errors import InputError, MeasurementError
from tokgate.launch import run_launch
from tokgate.machine.cpumodel import isa
from tokgate.machine.cpus import usable_cores
from tokgate.machine.fingerprint import fingerprint, software
from tokgate.machine.lock import cpu_device_name, device_lock
from tokgate.matrices import SCENARIOS_DIR
from tokgate.matrix_file import load_matrix
from tokgate.models.artifacts import ensure, versions
from tokgate.models.source import ModelSource, resolve
from tokgate.outputs import check_file
from tokgate.plan import PLAN_SCHEMA, LaunchPlan, PlanRow
from tokgate.prove.recording import Head, RecordedLaunch, Recording, left, resume, write
from tokgate.samples import faults_of, rows_of
from tokgate.scenario import Group, Profile, Scenario

# Of 50 tokens 3% and 5% are no whole number; of 100 every inflation is.
OUTPUT_LEN = 100
# A burst of a neighbour is waited out, a machine that is always busy is given up.
_TRIES = 6
_PROMPT_SEED = 20261121

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What to record. `group`: engine.precision[.variants] of scenarios/cpu.toml; `plain`: plain launches in all."""

    model: str
    group: str
    plain: int
    rounds: int
    cache_root: Path
    lock_timeout_s: float


def record(wanted: Wanted, path: Path | None, say: Say) -> Path:
    """Measures what the recording in `path` still lacks, and returns where it is.

    Written after every launch, so that it can be interrupted and goes on when asked again. Raises InputError,
    or MeasurementError when the device is not to be had or a worker fails.
    """
    scenarios, source = _scenarios(wanted)
    machine = fingerprint()
    path = path or Path(".tokgate") / "prove" / f"{machine['id']}.json"
    check_file("--recording", path)
    head = Head(
        machine=machine,
        software={**software(("tokgate", "numpy")), **versions(sys.executable)},
        weights=source.identity,
        group=scenarios[0].group.id,
        scenarios=[scenario.id for scenario in scenarios],
        output_len=OUTPUT_LEN,
        rounds=wanted.rounds,
    )
    recording = resume(path, head)
    group = scenarios[0].group
    artifact = ensure(source, group.engine, group.precision, wanted.cache_root, sys.executable, isa(), say)
    with device_lock(cpu_device_name(), wanted.lock_timeout_s, say):
        todo = left(recording, wanted.plain)
        total = len(recording.launches) + len(todo)
        for inflate in todo:
            number = len(recording.launches)
            plan = _plan(scenarios, artifact.path, source, wanted.rounds, inflate, number)
            launch = _undisturbed(plan, scenarios, recording, say)
            recording.launches.append(launch)
            write(recording, path)
            say(f"launch {number + 1} of {total}: {_told(launch)}")
    return path


def _scenarios(wanted: Wanted) -> tuple[list[Scenario], ModelSource]:
    """The quick rows of the group, or all of them where none is quick, with outputs of OUTPUT_LEN tokens."""
    matrix = load_matrix(SCENARIOS_DIR / "cpu.toml")
    named = [row for row in matrix.scenarios if row.group.shape == matrix.model]
    rows = [row for row in named if _name(row.group) == wanted.group]
    if not rows:
        known = ", ".join(dict.fromkeys(_name(row.group) for row in named))
        raise InputError(f"--group {wanted.group}: scenarios/cpu.toml has no such group; it has {known}")
    rows = [row for row in rows if row.quick] or rows
    source = resolve(wanted.model, rows[0].group.shape, allow_network=True)
    group = dataclasses.replace(rows[0].group, model=source.model_id)
    longer = {dataclasses.replace(row, group=group, output_len=OUTPUT_LEN): None for row in rows}
    return list(longer), source


def _name(group: Group) -> str:
    return ".".join([group.engine, group.precision, *group.variants])


def _plan(
    scenarios: Sequence[Scenario], model_dir: Path, source: ModelSource, rounds: int, inflate: float, number: int
) -> LaunchPlan:
    group = scenarios[0].group
    return LaunchPlan(
        schema=PLAN_SCHEMA,
        engine=group.engine,
        model_dir=str(model_dir),
        vocab_size=source.vocab_size,
        settings=engine_settings(group, source),
        threads=usable_cores(),
        rounds=rounds,
        repeats=rounds * len(scenarios),
        order_seed=random.Random(f"recording {number}").randrange(2**32),
        prompt_seed=_PROMPT_SEED,
        rows=tuple(PlanRow(row.id, row.batch, row.prompt_len, row.output_len) for row in scenarios),
        inflate=inflate,
    )


def _undisturbed(plan: LaunchPlan, scenarios: Sequence[Scenario], recording: Recording, say: Say) -> RecordedLaunch:
    """The launch of a plan, made again while it is disturbed. Raises MeasurementError when it stays so."""
    profile = Profile("recording", launches=1, rounds=plan.rounds)
    for _ in range(_TRIES):
        started = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        record = run_launch(plan, sys.executable, lambda scenario: None)
        faults = [f"{row.id}: {fault}" for row in scenarios for fault in faults_of(row, [record], profile)]
        if not faults:
            rows = [row for scenario in scenarios for row in rows_of(scenario, [record])]
            return RecordedLaunch(inflate=plan.inflate, started=started.isoformat(), rows=rows)
        recording.disturbed += 1
        say(f"made again: {faults[0]}")
    raise MeasurementError(
        f"{_TRIES} launches in a row were disturbed, the last one: {faults[0]}; {len(recording.launches)} launches "
        "are kept: the same command goes on at a quieter time"
    )


def _told(launch: RecordedLaunch) -> str:
    work = f"{100 * launch.inflate:g}% more tokens" if launch.inflate else "plain"
    values = [f"{median(row.launches[0]):.4g}" for row in launch.rows if row.metric == "output_throughput"]
    return f"{work}, {' and '.join(values)} tok/s"
