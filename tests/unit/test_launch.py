"""A launch as pytest's process keeps it, from the events of a worker that are written down."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tokgate.errors import MeasurementError
from tokgate.launch import LaunchRecord, Turns, run_launch
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


def test_another_error_asks_for_no_memory(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError) as error:
        launch(tmp_path, {"event": "error", "message": "TypeError: enforce_lazy"}, status=1)
    assert str(error.value) == "the vllm worker failed: TypeError: enforce_lazy"


def in_turns(tmp_path: Path, count: int, fails: int | None = None) -> list[str]:
    """What workers that follow each other did, in the order in which they did it. Worker `fails` cannot import."""
    python, told = tmp_path / "python", tmp_path / "told"
    python.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "from tokgate.child import await_parent, child_events\n"
        "plan = json.load(open(sys.argv[-1]))\n"
        "emit, number = child_events(), plan['order_seed']\n"
        f"told = os.open({str(told)!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
        "def tell(what): os.write(told, f'{what} {number}\\n'.encode())\n"
        f"if number == {fails}:\n"
        "    emit({'event': 'error', 'message': 'ImportError: no vllm'}); sys.exit(1)\n"
        "tell('imported'); emit({'event': 'imported'}); await_parent()\n"
        "tell('loads'); emit({'event': 'warm'}); await_parent()\n"
        f"tell('measures'); emit({round_event()!r}); tell('ends'); emit({DONE!r})\n"
    )
    python.chmod(0o755)
    plans = [
        LaunchPlan(PLAN_SCHEMA, "vllm", "", 10, {}, 1, 1, 0, seed, 0, (ROW,), in_turn=True) for seed in range(count)
    ]
    with Turns([(plan, str(python), None) for plan in plans]) as turns:
        for plan in plans:
            run_launch(plan, str(python), lambda scenario: None, turns=turns)
    return told.read_text().splitlines()


def test_a_worker_imports_its_engine_ahead_of_its_turn_and_never_beside_a_round(tmp_path: Path) -> None:
    did = in_turns(tmp_path, 3)
    for number in range(3):
        steps = [did.index(f"{what} {number}") for what in ("imported", "loads", "measures", "ends")]
        assert steps == sorted(steps)
        if number:
            assert did.index(f"imported {number}") < did.index(f"measures {number - 1}")
            assert did.index(f"ends {number - 1}") < did.index(f"loads {number}"), "the device is one's alone"
    assert len(did) == 12


def test_a_worker_that_cannot_import_fails_in_its_own_turn(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="ImportError: no vllm"):
        in_turns(tmp_path, 3, fails=1)
    did = (tmp_path / "told").read_text().splitlines()
    assert "ends 0" in did
    assert "loads 2" not in did


def test_there_are_no_more_turns_than_launches() -> None:
    with pytest.raises(ValueError, match="every launch had its turn"), Turns([]) as turns:
        turns.take()
