"""How a process that works on a plan begins and ends, whatever it does in between. Standard library alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path

from tokgate.besides import notes_of
from tokgate.child import Emit, child_events
from tokgate.plan import LaunchPlan


def run_worker(usage: str, argv: Sequence[str], work: Callable[[LaunchPlan, Emit], None]) -> int:
    """Does `work` on the plan that `argv` begins with, and returns the process's exit status.

    `usage`: the module and its arguments. The worker's events go to standard output; what `work` raises is the last
    of them, and passes through. Of a plan for GPUs, CUDA is shown those that it uses, unless the server is elsewhere.
    """
    module, *expected = usage.split()
    if len(argv) != len(expected):
        print(f"usage: python -m {usage}; {module} was given {len(argv)} arguments", file=sys.stderr)
        return 2
    emit = child_events()
    try:
        plan = LaunchPlan.read(Path(argv[0]))
        if plan.device == "gpu" and not (plan.server and plan.server.base_url):
            show_gpus(plan.gpus, os.environ)
        work(plan, emit)
    except Exception as error:  # whatever it is, it is told in an event, and raised again
        emit({"event": "error", "message": f"{type(error).__name__}: {error}", "notes": notes_of(error)})
        raise
    return 0


def show_gpus(count: int, environ: MutableMapping[str, str]) -> None:
    """Leaves CUDA the first `count` of the visible GPUs, numbered as NVML does.

    Entries stay as they were written: not every vLLM takes UUIDs. To be called before anything starts CUDA.
    """
    chosen = environ.get("CUDA_VISIBLE_DEVICES")
    entries = [str(index) for index in range(count)] if chosen is None else chosen.split(",")[:count]
    environ["CUDA_VISIBLE_DEVICES"] = ",".join(entries)
    environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
