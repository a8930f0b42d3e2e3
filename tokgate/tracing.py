"""A launch that traces, as the pytest process sees it: one round of each row under vLLM's profiler, never measured."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tokgate.child import ChildError, Event, python_path, run_child
from tokgate.errors import MeasurementError
from tokgate.plan import LaunchPlan

TRACED_ENGINES = ("vllm",)
PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class RowTrace:
    """One round: `total_s`, slowed by the tracing, and the files, one for each of the engine's workers."""

    scenario: str
    total_s: float
    files: tuple[Path, ...]


@dataclass(frozen=True)
class GroupTrace:
    """`nsys`: the command that lets Nsight Systems watch the same launch; None without a GPU."""

    rows: tuple[RowTrace, ...]
    nsys: str | None


def run_trace(plan: LaunchPlan, python: str, folder: Path, on_row: Callable[[str], None]) -> GroupTrace:
    """Traces every row of `plan` once, in a fresh process of `python`. `folder` keeps the plan beside the traces.

    Raises MeasurementError if the process fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PLAN_FILE
    plan.write(path)
    rows: list[RowTrace] = []

    def hear(event: Event) -> None:
        if event["event"] == "traced":
            rows.append(RowTrace(event["scenario"], event["total_s"], tuple(map(Path, event["files"]))))
            on_row(event["scenario"])

    try:
        run_child([python, "-m", "tokgate.traceworker", str(path), str(folder)], hear, silence_s=plan.silence_s)
    except ChildError as error:
        raise MeasurementError(f"the trace failed: {error}") from None
    return GroupTrace(tuple(rows), nsys_command(path, python) if plan.device == "gpu" else None)


def nsys_command(plan: Path, python: str) -> str:
    """Runs the worker on the plan under Nsight Systems, with its children and each kernel of a CUDA graph."""
    return shlex.join([
        "env", f"PYTHONPATH={python_path()}",
        "nsys", "profile", "--trace=cuda,nvtx", "--trace-fork-before-exec=true", "--cuda-graph-trace=node",
        f"--output={plan.parent / 'nsys'}", python, "-m", "tokgate.worker", str(plan),
    ])  # fmt: skip
