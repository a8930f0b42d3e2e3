"""Workers that follow each other: what each does ahead of its turn, and what becomes of it where another fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.gone import is_gone
from tokgate import killing
from tokgate.errors import MeasurementError
from tokgate.launch import Turns, run_launch
from tokgate.plan import PLAN_SCHEMA, LaunchPlan, PlanRow

pytestmark = pytest.mark.unit

ROW = PlanRow("g.b1.p5.o50", 1, 5, 50)
ROUND = {
    "event": "round", "scenario": ROW.scenario, "round": 0, "total_s": 1.0, "prefill_s": 0.1, "prompt_tokens": 5,
    "output_tokens": 50, "peak_rss_bytes": 2**30, "use": {"own_cpu_s": 0.5}, "disturbed": None, "repeated": False,
}  # fmt: skip
DONE = {"event": "done", "total_s": 9.0, "measured_s": 1.0}
# What a worker of these tests is: it notes what it does in a file that all of them share.
WORKER = """#!{python}
import json, os, sys, time
from tokgate.child import await_parent, child_events
emit, number = child_events(), json.load(open(sys.argv[-1]))["order_seed"]
told = os.open({told!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def tell(what): os.write(told, f"{{what}} {{number}}\\n".encode())
tell(f"pid {{os.getpid()}} of")
if number == 1:
    {second}
tell("imported"); emit({{"event": "imported"}}); await_parent()
tell("loads"); emit({{"event": "warm"}}); await_parent()
tell("measures"); emit({round!r}); tell("ends"); emit({done!r})
"""
CANNOT = "emit({'event': 'error', 'message': 'ImportError: no vllm'}); sys.exit(1)"
HANGS = "tell('hangs'); time.sleep(600)"


def in_turns(
    folder: Path,
    count: int,
    second: str = "pass",
    heard: Callable[[str], None] = lambda scenario: None,
    silence_s: float = 60,
) -> None:
    """Makes the launches. The second worker does `second` before it has imported; `heard` hears of rounds."""
    python = folder / "python"
    told = str(folder / "told")
    python.write_text(WORKER.format(python=sys.executable, told=told, second=second, round=ROUND, done=DONE))
    python.chmod(0o755)
    plans = [
        LaunchPlan(
            PLAN_SCHEMA, "vllm", "", 10, {}, 1, 1, 0, seed, 0, (ROW,), in_turn=True, silence_s=silence_s
        )
        for seed in range(count)
    ]  # fmt: skip
    with Turns([(plan, str(python), None) for plan in plans]) as turns:
        for plan in plans:
            run_launch(plan, str(python), heard, turns=turns)


def done(folder: Path) -> list[str]:
    """What the workers did, in the order in which they did it."""
    return [line for line in (folder / "told").read_text().splitlines() if not line.startswith("pid ")]


def pids(folder: Path) -> list[int]:
    return [int(line.split()[1]) for line in (folder / "told").read_text().splitlines() if line.startswith("pid ")]


def test_a_worker_imports_its_engine_ahead_of_its_turn_and_never_beside_a_round(tmp_path: Path) -> None:
    in_turns(tmp_path, 3)
    did = done(tmp_path)
    for number in range(3):
        steps = [did.index(f"{what} {number}") for what in ("imported", "loads", "measures", "ends")]
        assert steps == sorted(steps)
        if number:
            assert did.index(f"imported {number}") < did.index(f"measures {number - 1}")
            assert did.index(f"ends {number - 1}") < did.index(f"loads {number}"), "the device is one's alone"
    assert len(did) == 12


def test_a_worker_that_cannot_import_fails_in_its_own_turn(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="ImportError: no vllm"):
        in_turns(tmp_path, 3, second=CANNOT)
    did = done(tmp_path)
    assert "ends 0" in did
    assert "loads 2" not in did
    assert all(map(is_gone, pids(tmp_path)))


def test_a_worker_that_hangs_while_it_imports_takes_nothing_from_the_one_before_it(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="reported nothing for 5 s from its start on"):
        in_turns(tmp_path, 2, second=HANGS, silence_s=5)
    did = done(tmp_path)
    assert {"hangs 1", "measures 0", "ends 0"} <= set(did)
    assert "imported 1" not in did
    assert all(map(is_gone, pids(tmp_path)))


def test_a_worker_that_waits_for_its_turn_ends_with_a_run_that_is_broken_off(tmp_path: Path) -> None:
    def interrupt(scenario: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_turns(tmp_path, 3, heard=interrupt)
    assert "imported 1" in done(tmp_path)
    assert len(pids(tmp_path)) == 2
    assert all(map(is_gone, pids(tmp_path)))


def test_a_worker_that_does_not_die_fails_its_launch_and_is_left(tmp_path: Path, monkeypatch) -> None:
    """As one that waits inside the driver: nobody waits for it with the locks held."""
    monkeypatch.setattr(killing, "DEATH_S", 0.5)
    with monkeypatch.context() as patched:
        patched.setattr(os, "killpg", lambda group, number: None)
        with pytest.raises(MeasurementError, match=r"the vllm worker failed: .* does not die .*look at dmesg"):
            in_turns(tmp_path, 2, second=HANGS, silence_s=5)
    assert "ends 0" in done(tmp_path), "it takes nothing from the one before it"
    assert all(map(is_gone, pids(tmp_path))), "it ends by itself, once it can"


def test_there_are_no_more_turns_than_launches() -> None:
    with pytest.raises(ValueError, match="every launch had its turn"), Turns([]) as turns:
        turns.take()
