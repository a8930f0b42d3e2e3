"""--perf-set, by running pytest with scripted launches: another setting of the engine, judged as what was accepted."""

from __future__ import annotations

import subprocess
import sys

import pytest
from runs import FP32, Runner

pytestmark = pytest.mark.unit

GIVEN = "--perf-set=allow_spinning=false"
ROWS_OWN = "that is of the rows of a matrix"
COSTLY = {"costs": {"allow_spinning": 1.4}}


def test_a_setting_that_slows_is_a_regression_of_the_rows_and_is_never_accepted(run: Runner) -> None:
    accepted = run(script=COSTLY).session
    run.accept(accepted)
    done = run(GIVEN, script=COSTLY)
    assert done.status == 1, done.out
    assert f"REGRESSED {FP32} output_throughput" in done.out
    assert "measured with allow_spinning=false" in done.out
    assert GIVEN in done.out, "the command that measures the row again has it"
    assert done.session.given == {"allow_spinning": False}
    assert accepted.given == {}
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run.accept(done.session, nights=1)
    assert b"allow_spinning=false, which its rows' ids do not say" in refused.value.stderr


def test_in_pairs_the_reference_does_without(run: Runner) -> None:
    done = run(GIVEN, f"--perf-reference={sys.executable}", "--perf-pairs=6", script=COSTLY)
    assert done.status == 1, done.out
    assert "in 6 interleaved pairs" in done.out
    assert "given to the candidate alone: allow_spinning=false\n" in done.out
    row = next(row for row in done.session.rows if row.key == (FP32, "output_throughput"))
    assert all(reference / candidate == pytest.approx(1.4, rel=0.05) for reference, candidate in row.pairs or [])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--perf-set=allow_spinning"], "--perf-set allow_spinning: "),
        (
            ["--perf-set=tensor_parallel_size=2"],
            f"--perf-set tensor_parallel_size: {ROWS_OWN}; name a matrix or variant",
        ),
        (
            ["--perf-set=tensor-parallel-size=2"],
            f"--perf-set tensor-parallel-size: {ROWS_OWN}; name a matrix or variant",
        ),
        (
            ["--perf-set=pipeline_parallel_size=2"],
            f"--perf-set pipeline_parallel_size: {ROWS_OWN}: of its GPUs only as",
        ),
        (["--perf-set=data_parallel_size=2"], f"--perf-set data_parallel_size: {ROWS_OWN}: of its GPUs only as many"),
        ([GIVEN, '--perf-set=model="x"'], f"--perf-set model: {ROWS_OWN}; name another model with --perf-model"),
        (["--perf-set=service.batch=2"], f"--perf-set service: {ROWS_OWN}; name a matrix or variant that has it"),
        (["--perf-set=gpu-memory-utilization=2"], "--perf-set: gpu_memory_utilization = 2; expected a number above 0"),
        (
            ["--perf-set=gpu_memory_utilization=1.5"],
            "--perf-set: gpu_memory_utilization = 1.5; expected a number above 0 and up to 1",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_given_is_bad_input(run: Runner, given: list[str], said: str) -> None:
    done = run(*given)
    assert done.status not in (0, 5), done.out
    assert said in done.out
    assert not list((done.folder / "sessions").glob("*.json"))
