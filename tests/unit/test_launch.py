"""A launch as pytest's process keeps it, from the events of a worker that are written down."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tokgate.errors import MeasurementError
from tokgate.launch import LaunchRecord, run_launch
from tokgate.plan import PLAN_SCHEMA, LaunchPlan, PlanRow, Traffic, Users

pytestmark = pytest.mark.unit

ROW = PlanRow("g.b1.p5.o50", 1, 5, 50)


def round_event(**change: Any) -> dict[str, Any]:
    return {
        "event": "round", "scenario": ROW.scenario, "round": 0, "total_s": 1.0, "prefill_s": 0.1,
        "prompt_tokens": 5, "output_tokens": 50, "peak_rss_bytes": 2**30, "use": {"own_cpu_s": 0.5},
        "disturbed": None, "repeated": False, **change,
    }  # fmt: skip


def launch(folder: Path, *events: dict[str, Any], status: int = 0, log: str = "", row: PlanRow = ROW) -> LaunchRecord:
    """Runs an interpreter that reports these events whatever it is asked."""
    python = folder / "python"
    lines = [f"print({json.dumps(event)!r}, flush=True)" for event in events]
    python.write_text("\n".join([f"#!{sys.executable}", "import sys", *lines, f"sys.stderr.write({log!r})",
                                 f"sys.exit({status})"]))  # fmt: skip
    python.chmod(0o755)
    plan = LaunchPlan(PLAN_SCHEMA, "vllm", "", 10, {}, 1, 1, 0, 0, 0, (row,))
    return run_launch(plan, str(python), lambda scenario: None)


DONE = {"event": "done", "total_s": 9.0, "measured_s": 1.0}


def test_a_start_is_kept_with_what_was_compiled_for_it(tmp_path: Path) -> None:
    loaded = {"event": "loaded", "load_s": 102.0, "engine": {"vllm": "0"}, "compiled": {"flashinfer": 3}}
    record = launch(tmp_path, loaded, round_event(), DONE)
    assert (record.load_s, record.compiled) == (102.0, {"flashinfer": 3})
    assert len(record.rounds[ROW.scenario]) == 1


def test_a_row_that_exceeds_the_context_is_no_sample(tmp_path: Path) -> None:
    """vLLM ends a sequence at max_model_len without an error: here 5 tokens and 27 of 50."""
    record = launch(tmp_path, round_event(output_tokens=27), DONE)
    assert record.rounds == {}
    assert "made 27 output tokens; planned were 5 and 50" in record.unequal[ROW.scenario]


@pytest.mark.parametrize(("output_tokens", "usable"), [(350, True), (349, False)])
def test_users_make_as_many_requests_as_they_come_to_and_each_is_whole(
    tmp_path: Path, output_tokens: int, usable: bool
) -> None:
    users = Users("completions", True, 10.0, (0.5, 3.0), 60.0)
    row = PlanRow(ROW.scenario, 3, 5, 50, Traffic(3, users=users))
    told = {"figures": {"e2el": 1.0}, "fault": None, "succeeded": 7, "prompt_tokens": 35}
    record = launch(tmp_path, round_event(output_tokens=output_tokens, **told), DONE, row=row)
    assert (ROW.scenario in record.rounds) is usable
    assert (ROW.scenario in record.unequal) is not usable


@pytest.mark.parametrize("error", ["RuntimeError: CUDA error: out of memory", "torch.OutOfMemoryError: Out of Memory"])
def test_memory_that_ran_out_is_known_by_its_words(tmp_path: Path, error: str) -> None:
    with pytest.raises(MeasurementError, match="a smaller batch"):
        launch(tmp_path, {"event": "error", "message": error}, status=1)


def test_memory_that_ran_out_is_told_with_what_to_do(tmp_path: Path) -> None:
    log = (
        "(EngineCore pid=7) ERROR 11-21 18:14:56 [core.py:1510] Traceback (most recent call last):\n"
        "(EngineCore pid=7) ERROR 11-21 18:14:56 [core.py:1510]   File x\n"
        "(EngineCore pid=7) ERROR 11-21 18:14:56 [core.py:1510] torch.OutOfMemoryError: CUDA out of memory. Tried to "
        "allocate 20.00 GiB.\n"
    )
    died = {"event": "error", "message": "EngineDeadError: EngineCore encountered an issue. See stack trace (above)"}
    with pytest.raises(MeasurementError) as error:
        launch(tmp_path, round_event(), died, status=1, log=log)
    said = str(error.value)
    assert "the first error in its log: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB" in said
    assert "a smaller batch" in said


@pytest.mark.parametrize(
    "message",
    ["TypeError: enforce_lazy", "MeasurementError: the server died of SIGKILL: often the kernel, out of memory"],
)
def test_another_error_asks_for_no_memory(tmp_path: Path, message: str) -> None:
    with pytest.raises(MeasurementError) as error:
        launch(tmp_path, {"event": "error", "message": message}, status=1)
    assert str(error.value) == f"the vllm worker failed: {message}"
