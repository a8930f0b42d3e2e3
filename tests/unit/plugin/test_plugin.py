"""The plugin's behaviour, by running pytest. Only the launches are scripted (scripted.py); the rest is real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from runs import FP32, ROOT, Run, Runner

from tests.unit.needs import two_cores
from tokgate import session as sessions
from tokgate.machine.lock import device_lock

pytestmark = pytest.mark.unit


def test_without_baselines_it_passes_and_says_so_loudly(run: Runner) -> None:
    done = run()
    assert done.status == 0, done.out
    assert "NO-BASELINE" in done.out
    assert done.session.valid
    assert {row.scenario for row in done.session.rows} >= {FP32, "tiny-dummy.transformers.fp32.b1.p5.o50"}


def test_a_required_baseline_that_is_missing_fails(run: Runner) -> None:
    assert run("--perf-require-baseline").status == 1


@pytest.mark.usefixtures("accepted")
def test_a_session_like_the_accepted_ones_passes(run: Runner) -> None:
    done = run("--perf-require-baseline", "--perf-strict")
    assert done.status == 0, done.out
    assert "PASS" in done.out


@pytest.mark.usefixtures("accepted")
def test_a_slower_one_fails_with_what_moved_and_the_command(run: Runner) -> None:
    done = run(script={"slow": 1.4})
    assert done.status == 1, done.out
    assert "REGRESSED" in done.out
    assert "decode (tpot)" in done.out
    assert "night-4" in done.out
    assert f"-k '[{FP32}]'" in done.out
    assert any(row.confirm for row in done.session.rows), "slower rows were measured again in fresh launches"


def test_the_command_it_gives_names_the_module_that_was_named(run: Runner) -> None:
    """Another one might measure the row by other launches."""
    done = run("--perf-require-baseline", "tests/cpu/test_offline.py::test_generate")
    assert done.status == 1, done.out
    assert "again: pytest -m cpu tests/cpu/test_offline.py --perf-profile=quick" in " ".join(done.out.split())


def test_the_command_it_gives_measures_that_row_alone(run: Runner) -> None:
    done = run("-k", f"[{FP32}]")
    assert {row.scenario for row in done.session.rows} == {FP32}


def test_a_disturbed_row_is_invalid_and_says_by_whom(run: Runner) -> None:
    done = run(script={"disturbed": [FP32]})
    assert done.status == 1
    assert "INVALID" in done.out
    assert "gcc pid 7" in done.out
    assert not done.session.valid
    assert accept_status(done, run) in REFUSED


REFUSED = (2, 4)


def accept_status(done: Run, run: Runner) -> int:
    (path,) = (done.folder / "sessions").glob("*.json")
    return subprocess.run(
        [sys.executable, "-m", "tokgate", "accept", str(path), "--reason", "x", "--baselines", str(run.baselines)],
        cwd=ROOT, capture_output=True,
    ).returncode  # fmt: skip


def test_a_fast_wrong_engine_fails(run: Runner) -> None:
    done = run(script={"wrong": 0.5, "slow": 0.5})
    assert done.status == 1
    assert not done.session.valid
    assert "INVALID" in done.out


def test_a_crashed_worker_fails(run: Runner) -> None:
    done = run(script={"crash": True})
    assert done.status == 1
    assert "it crashed" in done.out
    assert "passed" not in done.out


def test_ctrl_c_keeps_finished_launches_as_a_session_that_cannot_be_accepted(run: Runner) -> None:
    done = run(script={"interrupt_at": 2})
    assert done.status == 2, "pytest's own status for an interrupt"
    assert not done.session.valid
    assert any("interrupted" in reason for reason in done.session.reasons)
    assert next(len(row.launches) for row in done.session.rows if row.scenario == FP32) == 2
    assert accept_status(done, run) in REFUSED


def test_no_room_is_skipped_with_the_sum_and_the_run_is_no_pass(run: Runner) -> None:
    done = run("-rs", script={"no_room": True})
    assert "29.0 GB" in done.out
    assert "passed" not in done.out
    assert "nothing was measured; this run says nothing of speed:\n  5 skipped: measuring needs 29.0 GB" in done.out
    assert done.status == 5, "pytest's status for no tests"


@pytest.mark.usefixtures("accepted")
def test_a_row_that_was_accepted_and_no_longer_fits_fails_where_a_baseline_is_required(run: Runner) -> None:
    done = run("--perf-require-baseline", script={"no_room": True})
    assert done.status == 1
    assert "accepted before" in done.out


@pytest.mark.parametrize(
    "args", [["--benchmark-skip"], ["-k", "test_suite"], ["-n2", "--benchmark-skip"], ["-n2", "-k", "test_suite"]]
)
def test_a_run_that_skips_everything_is_no_pass(run: Runner, args: list[str]) -> None:
    assert run(*args).status == 5


def test_an_unexpected_error_leaves_no_valid_session(run: Runner) -> None:
    done = run(script={"unexpected": True})
    assert done.status == 1
    assert "the disk is gone" in done.out
    assert not done.session.valid


@pytest.mark.usefixtures("accepted")
def test_a_disturbed_row_does_not_hide_the_verdicts_of_the_others(run: Runner) -> None:
    done = run(script={"disturbed": [FP32]})
    assert "PASS" in done.out
    assert not done.session.valid


@two_cores
def test_a_gated_metric_that_was_not_measured_is_no_pass(run: Runner) -> None:
    done = run("-m", "load", "tests/load/test_generate_users.py", script={"lacks": ["e2el"]})
    assert done.status == 1, done.out
    assert "1 of 1 rounds have no e2el, which is gated" in done.out
    assert not done.session.valid


@pytest.mark.parametrize("option", ["--benchmark-disable", "-n2"])
def test_nothing_measured_is_never_a_pass(run: Runner, option: str) -> None:
    done = run(option)
    assert done.status == 1
    assert done.out.count("benchmarks are disabled") == 1, "the reason once, with how many rows it concerns"
    assert "  5 errors: benchmarks are disabled" in done.out
    assert "passed" not in done.out


@pytest.mark.usefixtures("accepted")
def test_figures_are_in_junit_and_in_pytest_benchmarks_file(run: Runner, tmp_path: Path) -> None:
    done = run(f"--junitxml={tmp_path / 'j.xml'}", f"--benchmark-json={tmp_path / 'b.json'}")
    assert "xunit2" not in done.out, "no warning of its own figures"
    cases = ElementTree.parse(tmp_path / "j.xml").iter("testcase")
    case = next(case for case in cases if FP32 in case.attrib["name"])
    properties = {item.attrib["name"]: item.attrib["value"] for item in case.iter("property")}
    assert float(properties["output_throughput_tok_s"]) == pytest.approx(25.0, rel=0.01)
    assert properties["output_throughput_verdict"] == "PASS"
    assert sessions.read(tmp_path / "b.json").rows == done.session.rows
    data = json.loads((tmp_path / "b.json").read_text())
    stats = next(item for item in data["benchmarks"] if FP32 in item["name"])["stats"]["data"]
    assert stats == [v for row in done.session.rows if (row.scenario, row.metric) == (FP32, "e2el")
                     for launch in row.launches for v in launch]  # fmt: skip


def test_two_runs_on_one_device_do_not_overlap(run: Runner) -> None:
    """The second says whom it waits for; after its timeout nothing was measured, and nothing passes."""
    with device_lock(run.device, 60, lambda said: None):
        done = run("--perf-lock-timeout=1")
    assert done.status == 1
    assert f"pid {os.getpid()}" in done.out
    assert "passed" not in done.out
    assert run().status == 0, "a device that is free again is taken"


@pytest.mark.usefixtures("accepted")
def test_a_tampered_baseline_stops_the_gate(run: Runner) -> None:
    (path,) = run.baselines.glob(f"*/{FP32}.json")
    path.write_text(path.read_text().replace('"launches"', '"launches" ', 1).replace("25.", "15.", 1))
    done = run()
    assert done.status == 1
    assert "passed" not in done.out
    assert FP32 in done.out


@pytest.mark.parametrize("marker", ["cpu", "unit", "cpu or unit"])
def test_collecting_imports_no_engine(marker: str) -> None:
    """pytest --collect-only leaves torch, onnx, onnxruntime and the rest outside the pytest process."""
    program = (
        "import sys, pytest\n"
        f"code = pytest.main(['-m', '{marker}', '--collect-only', '-q', '--perf-model=tiny'])\n"
        "engines = {'torch', 'transformers', 'onnx', 'onnxruntime', 'optimum', 'tokenizers', 'vllm'}\n"
        "print('ENGINES', sorted(engines & set(sys.modules)), int(code))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert "ENGINES [] 0" in done.stdout, done.stdout + done.stderr
    assert ("tiny-dummy.onnx.int8.b8.p5.o50" in done.stdout) is ("cpu" in marker)


def test_the_suite_comes_last() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "cpu", "--collect-only", "-q", "-p", "no:cacheprovider",
         "--perf-model", "tiny", "--perf-profile", "nightly"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    items = [line for line in done.stdout.splitlines() if "::" in line]
    assert items[-1].endswith("::test_suite")
    assert len(items) == 28
