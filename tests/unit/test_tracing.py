"""A trace as pytest's process sees it: what the child reports, and what is printed to run beside it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from tokgate.errors import MeasurementError
from tokgate.plan import PLAN_SCHEMA, LaunchPlan, PlanRow
from tokgate.tracing import PLAN_FILE, RowTrace, nsys_command, run_trace

pytestmark = pytest.mark.unit


def plan(device: str = "cpu") -> LaunchPlan:
    row = PlanRow("g.b1.p5.o4", 1, 5, 4)
    return LaunchPlan(PLAN_SCHEMA, "vllm", "", 10, {}, 1, 1, 0, 0, 0, (row,), device=device)


def python(folder: Path, *events: str) -> str:
    """An interpreter that reports these events whatever it is asked."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n" + "".join(f"print({event!r}, flush=True)\n" for event in events))
    path.chmod(0o755)
    return str(path)


def test_what_the_child_traced_is_told_row_by_row(tmp_path: Path) -> None:
    heard: list[str] = []
    traced = '{"event": "traced", "scenario": "g.b1.p5.o4", "total_s": 2.0, "files": ["/t/a.pt.trace.json.gz"]}'
    found = run_trace(plan(), python(tmp_path, traced, '{"event": "done"}'), tmp_path / "t", heard.append)
    assert heard == ["g.b1.p5.o4"]
    assert found.rows == (RowTrace("g.b1.p5.o4", 2.0, (Path("/t/a.pt.trace.json.gz"),)),)
    assert found.nsys is None, "there is no GPU to watch"
    assert LaunchPlan.read(tmp_path / "t" / PLAN_FILE) == plan()


def test_a_child_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="the trace failed: ValueError: no such profiler"):
        run_trace(
            plan(),
            python(tmp_path, '{"event": "error", "message": "ValueError: no such profiler"}', "raise SystemExit(1)"),
            tmp_path / "t",
            lambda scenario: None,
        )


def test_nsight_systems_gets_the_same_plan(tmp_path: Path) -> None:
    found = run_trace(plan("gpu"), python(tmp_path, '{"event": "done"}'), tmp_path / "a b", lambda scenario: None)
    words = shlex.split(found.nsys or "")
    assert words[0] == "env"
    assert words[2:4] == ["nsys", "profile"]
    assert words[-3:] == ["-m", "tokgate.worker", str(tmp_path / "a b" / PLAN_FILE)]
    assert "--cuda-graph-trace=node" in words
    assert found.nsys == nsys_command(tmp_path / "a b" / PLAN_FILE, str(tmp_path / "python"))
