"""What a run that goes on tells of its scenarios."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.unit.silent import Silent
from tokgate.launcher import Setting
from tokgate.machine.lock import HeldDevices
from tokgate.models.source import resolve
from tokgate.options import Options
from tokgate.result import GroupResult
from tokgate.run import DeviceRun
from tokgate.runner import GroupRunner
from tokgate.scenario import Group, Matrix, Profile, Scenario

pytestmark = pytest.mark.unit

FP32, INT8 = (Group("tiny", "tiny-dummy", "onnx", precision) for precision in ("fp32", "int8"))
ROWS = [Scenario(group, batch, 5, 50) for group in (FP32, INT8) for batch in (1, 11)]
QUICK = Profile("quick", 1, 1)
INTERRUPTED = "interrupted: only the launches that had ended are here"


@pytest.fixture
def device_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeviceRun:
    """A run whose groups are measured at once, and have nothing."""
    monkeypatch.setattr(GroupRunner, "run", lambda *args: None)
    options = Options("pytest", ("pytest",), "quick", None, None, tmp_path, None, 1.0, "python", "python")
    setting = Setting(QUICK, {"tiny": resolve("dummy", "tiny")}, tmp_path, "python", "python", "avx2", 2)
    matrix = Matrix("cpu", "tiny", tuple(ROWS), (QUICK,))
    run = DeviceRun(matrix, options, setting, {"id": "here"}, (), Silent(), HeldDevices())
    run.select(ROWS)
    return run


def test_a_scenario_is_found_by_its_id_without_the_model_once_its_group_was_measured(device_run: DeviceRun) -> None:
    assert device_run.found("onnx.fp32.b1.p5.o50") == (ROWS[0], None)
    result = device_run.result(ROWS[0])
    assert device_run.found("onnx.fp32.b1.p5.o50") == (ROWS[0], result)
    assert device_run.found("onnx.fp32.b11.p5.o50") == (ROWS[1], result), "a group is measured whole"
    assert device_run.found("onnx.int8.b1.p5.o50") == (ROWS[2], None), "its group was not"
    assert isinstance(result, GroupResult)


def test_a_name_is_whole_parts_of_an_id(device_run: DeviceRun) -> None:
    device_run.result(ROWS[0])
    assert device_run.found("1.p5.o50") is None, "that is an end of b1 and of b11"
    assert device_run.found("fp32.b1.p5.o50") is not None


def test_what_was_not_selected_is_not_found(device_run: DeviceRun) -> None:
    device_run.select(ROWS[:1])
    device_run.result(ROWS[0])
    assert device_run.found("onnx.fp32.b11.p5.o50") is None


def test_a_run_that_is_interrupted_between_two_groups_says_so(device_run: DeviceRun) -> None:
    device_run.result(ROWS[0])
    assert INTERRUPTED not in device_run.session().reasons
    device_run.interrupt()
    assert device_run.session().reasons[0] == INTERRUPTED, "it explains the others"


def test_a_run_that_had_measured_all_is_not_interrupted(device_run: DeviceRun) -> None:
    for row in ROWS:
        device_run.result(row)
    device_run.interrupt()
    assert INTERRUPTED not in device_run.session().reasons


def test_the_time_is_until_the_last_group_ended(device_run: DeviceRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other matrices may be measured after it, in the same run of pytest."""
    device_run.result(ROWS[0])
    before_s = device_run.session().telemetry["run_s"]
    monkeypatch.setattr(time, "monotonic", lambda: 1e9)
    assert device_run.session().telemetry["run_s"] == before_s
    assert 0 <= before_s < 60
