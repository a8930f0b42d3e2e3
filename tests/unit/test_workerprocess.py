"""How the processes that work on a plan begin and end: what they are given, what they say last, what CUDA sees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tokgate.child import ChildError, Event, run_child
from tokgate.plan import PLAN_SCHEMA, LaunchPlan
from tokgate.rootcause import in_a_line
from tokgate.workerprocess import show_gpus

pytestmark = pytest.mark.unit

WORKERS = {"tokgate.worker": 1, "tokgate.serving.worker": 1, "tokgate.traceworker": 2}


@pytest.mark.parametrize(("module", "arguments"), WORKERS.items())
def test_each_says_how_it_is_used(module: str, arguments: int) -> None:
    done = subprocess.run([sys.executable, "-m", module, *["x"] * (arguments + 1)], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: python -m {module} PLAN")
    assert not done.stdout, "no event"


@pytest.mark.parametrize(("module", "arguments"), WORKERS.items())
def test_the_last_event_of_one_that_fails_says_why(module: str, arguments: int, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    LaunchPlan(PLAN_SCHEMA + 1, "onnx", "", 10, {}, 1, 1, 0, 0, 0, ()).write(plan)
    events: list[Event] = []
    with pytest.raises(ChildError, match=f"ValueError: .* schema {PLAN_SCHEMA + 1}; this worker reads"):
        run_child([sys.executable, "-m", module, str(plan), *[str(tmp_path)] * (arguments - 1)], events.append)
    assert [event["event"] for event in events] == ["error"]


FAILS_TWICE = """
import sys
from tokgate.errors import MeasurementError
from tokgate.serving.server import told_after
from tokgate.workerprocess import run_worker

def work(plan, emit):
    error = MeasurementError("the server ended with status 2; its log x.log ends:\\nunknown: --x")
    with told_after(error):
        raise MeasurementError("the server does not die")
    raise error

sys.exit(run_worker("tokgate.worker PLAN", sys.argv[1:], work))
"""


def test_what_failed_while_it_ended_is_told_below_why(tmp_path: Path) -> None:
    """Its own standard error is a log, which nobody reads who was told another reason."""
    plan = tmp_path / "plan.json"
    LaunchPlan(PLAN_SCHEMA, "onnx", "", 10, {}, 1, 1, 0, 0, 0, ()).write(plan)
    with pytest.raises(ChildError) as told:
        run_child([sys.executable, "-c", FAILS_TWICE, str(plan)], lambda event: None)
    why = "the server ended with status 2; its log x.log ends:\nunknown: --x\nbesides: the server does not die"
    assert str(told.value) == f"MeasurementError: {why}"
    assert in_a_line(str(told.value)) == (
        "MeasurementError: the server ended with status 2: unknown: --x; besides: the server does not die"
    )


@pytest.mark.parametrize(
    ("count", "before", "after"),
    [
        (1, {}, "0"),
        (2, {}, "0,1"),
        (1, {"CUDA_VISIBLE_DEVICES": "3,1"}, "3"),
        (2, {"CUDA_VISIBLE_DEVICES": "GPU-abc, 2 ,1"}, "GPU-abc, 2 "),
    ],
)
def test_only_the_gpus_that_are_used_are_shown(count, before, after):
    environ = dict(before)
    show_gpus(count, environ)
    assert environ["CUDA_VISIBLE_DEVICES"] == after
    assert environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    environ["CUDA_DEVICE_ORDER"] = "FASTEST_FIRST"
    show_gpus(count, environ)
    assert environ["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"
