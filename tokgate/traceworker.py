"""The process that traces: `PYTHON -m tokgate.traceworker PLAN FOLDER` runs each row of a plan under vLLM's profiler.

Apart from the worker that measures, since a profiler slows what it watches. Needs what that one needs. Events:

    loaded    the engine is there
    traced    a row: seconds of its round, slowed by the tracing, and the trace files, one for each of vLLM's workers
    done      all rows are traced
    error     why nothing more comes
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tokgate import engines
from tokgate.child import Emit, Event
from tokgate.enginewatch import engine_watch
from tokgate.plan import LaunchPlan, PlanRow
from tokgate.workerprocess import run_worker
from tokgate.workload.prompts import prompts_of

_SUFFIX = ".pt.trace.json"


def trace(plan: LaunchPlan, folder: Path, emit: Emit) -> None:
    """Traces the plan's rows into files of `folder` that begin with the row's shape."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {**plan.settings, "profiler_config": _profiler(folder)}
    engine: Any = engines.load(plan.engine, plan.model_dir, plan.threads, settings)
    emit({"event": "loaded"})
    with engine_watch(emit):
        for row in plan.rows:
            emit(_traced(engine, plan, row, folder))
    emit({"event": "done"})


def _traced(engine: Any, plan: LaunchPlan, row: PlanRow, folder: Path) -> Event:
    prompts = prompts_of(row.asked.prompts, row.batch, row.prompt_len, plan.vocab_size, plan.prompt_seed)
    # What a first round compiles and allocates is no part of the others.
    engine.generate(prompts, row.output_len, **row.asked.keywords)
    before = _traces(folder)
    generation = engine.traced(prompts, row.output_len, **row.asked.keywords)
    files = [_named(path, row) for path in sorted(_traces(folder) - before)]
    return {"event": "traced", "scenario": row.scenario, "total_s": generation.total_s, "files": files}


def _profiler(folder: Path) -> dict[str, Any]:
    """vLLM's profiler_config, the same from 0.19 to 0.32. Python stacks would make the files many times as large."""
    return {
        "profiler": "torch",
        "torch_profiler_dir": str(folder),
        "torch_profiler_with_stack": False,
        "torch_profiler_dump_cuda_time_total": False,
    }


def _traces(folder: Path) -> set[Path]:
    return {path for path in folder.iterdir() if _SUFFIX in path.name}


def _named(path: Path, row: PlanRow) -> str:
    """Renames a trace after its row: vLLM's own name, such as rank0.TIME.pt.trace.json.gz, tells the worker alone."""
    worker = path.name.split(".")[0]
    suffix = path.name[path.name.index(_SUFFIX) :]
    # The folder has the name of the group, with which each of its ids begins.
    name = row.scenario.removeprefix(f"{path.parent.name}.")
    return str(path.rename(path.with_name(f"{name}.{worker}{suffix}")))


def main(argv: list[str]) -> int:
    usage = "tokgate.traceworker PLAN FOLDER"
    return run_worker(usage, argv, lambda plan, emit: trace(plan, Path(argv[1]).resolve(), emit))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
