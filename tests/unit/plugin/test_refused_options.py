"""Options that cannot be used, by running pytest with scripted launches: each is named once, and nothing measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs import FP32, Runner

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--perf-profile", "nigthly"], "did you mean 'nightly'"),
        (["--perf-select", "edge"], "known are ens"),
        (
            ["--perf-model", "Qwen/Qwen2.5-0.5B@main"],
            "--perf-model 'Qwen/Qwen2.5-0.5B@main': revision 'main' is not 40",
        ),
        (["--perf-machine", "../etc"], "--perf-machine"),
        (["--perf-set", "foo"], "expected KEY=VALUE"),
        (["--perf-lock-timeout=-5"], "--perf-lock-timeout -5: expected seconds, 0 or more"),
        (["--perf-lock-timeout=nan"], "--perf-lock-timeout nan: expected seconds, 0 or more"),
        (["--perf-load-workers=-5"], "--perf-load-workers -5: expected how many workers drive the users, 1 or more"),
        (["--perf-reference=python3", "--perf-base-url=http://127.0.0.1:9"], "--perf-reference is of an engine that"),
        (
            ["--perf-python", "no-such-python"],
            "--perf-python no-such-python: no such interpreter; expected an executable",
        ),
        (["--perf-reference", "/nonexist"], "--perf-reference /nonexist: no such interpreter; expected an executable"),
        (["--perf-profile", "nigthly", "-m", "gpu"], "did you mean 'nightly'"),
    ],
)
def test_an_option_that_cannot_be_is_told_once_however_many_tests_it_is_for(
    run: Runner, args: list[str], said: str
) -> None:
    done = run(*args)
    assert done.status == 4, "pytest's status for wrong usage"
    (line,) = [line for line in done.out.splitlines() if line.startswith("ERROR")]
    assert said in line
    assert "Traceback" not in done.out
    assert "nothing was measured" not in done.out


def test_none_of_both_is_what_it_was(run: Runner) -> None:
    """No wait for a device that is free, and no worker of Locust."""
    done = run("-k", "fp32.b1.p5", "--perf-lock-timeout=0", "--perf-load-workers=0")
    assert done.status == 0, done.out


def test_an_interpreter_that_is_no_python_is_told_by_each_test_and_then_once(run: Runner) -> None:
    """That is known only once it was run."""
    done = run("--perf-python=/bin/false")
    assert done.status == 1
    assert "5 errors: the interpreter that builds, /bin/false is no usable Python" in done.out
    assert "During handling" not in done.out
    assert "passed" not in done.out


def test_a_folder_that_keeps_no_session_is_told_before_anything_is_measured(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(f"--perf-sessions={tmp_path / 'file' / 'deep'}")
    assert done.status == 1
    said = f"--perf-sessions {tmp_path / 'file' / 'deep'}: no file can be written there: Not a directory"
    assert said in "".join(done.out.split("\n"))
    assert "passed" not in done.out
    assert "session: " not in done.out, "nothing was measured"


def test_rows_of_an_engine_that_is_not_installed_say_what_installs_it(run: Runner) -> None:
    """The others are measured."""
    done = run("-k", "fp32", script={"missing": {"onnx": "python has no onnxruntime; `make` it"}})
    assert done.status == 1
    assert "  tiny-dummy.onnx.fp32: python has no onnxruntime; `make` it" in done.out.splitlines()
    assert "2 failed, 1 passed" in done.out


def test_what_one_matrix_refuses_is_refused_though_k_leaves_it_out(run: Runner) -> None:
    """No profile of users in vLLM on the CPU is named nightly: without a word the run would be green without them."""
    both = ("-m", "cpu or load_vllm_cpu", "tests/cpu", "tests/load_vllm_cpu", "--perf-profile=nightly")
    for chosen in ((), ("-k", "not users"), ("-k", "fp32")):
        refused = run(*both, *chosen)
        said = "load-vllm-cpu.toml: unknown profile 'nightly'"
        assert (refused.status, said in refused.out) == (4, True), refused.out


def test_a_misspelt_option_is_refused_whatever_k_chooses(run: Runner) -> None:
    for option in ("--perf-profile=nigthly", "--perf-select=edge"):
        refused = run(option, "-k", "nothing_has_this_name")
        assert refused.status == 4, refused.out


@pytest.mark.parametrize("chosen", ["cpu", "cpu or gpu", "(cpu)or(gpu)"])
def test_a_matrix_that_the_marker_leaves_out_refuses_nothing(run: Runner, chosen: str) -> None:
    """Those of vLLM on CPUs have no profile of that name."""
    listed = run("-m", chosen, "--perf-profile=nightly", "--co", "-q")
    assert (listed.status, FP32 in listed.out) == (0, True), listed.out


def test_a_matrix_that_not_may_choose_is_asked(run: Runner) -> None:
    refused = run("-m", "not gpu and not unit", "--perf-profile=nightly", "--co", "-q")
    assert (refused.status, "unknown profile 'nightly'" in refused.out) == (4, True), refused.out


def test_a_row_that_a_server_elsewhere_is_never_measured_by_refuses_nothing(run: Runner) -> None:
    """Of the serving matrix one row is longer than the tiny model's context, and it is not at default settings."""
    elsewhere = ("--perf-base-url=http://127.0.0.1:9", "--perf-served-model=m", "--perf-machine=x")
    listed = run("-m", "serving", *elsewhere, "--perf-profile=nightly", "-k", "serve.fp16.c10", "--co", "-q")
    assert (listed.status, "m.serve.fp16.c10.p512.o512" in listed.out) == (0, True), listed.out
    assert "cannot be measured" not in listed.out
