"""ONNX Runtime GenAI for real: build, launch, measure, accept, judge. `make genai` makes its environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from flow import GENAI_PYTHON, ROOT, Measured, check_nights_where_quiet, check_planned_work, measure, needs_genai

pytestmark = [pytest.mark.e2e, needs_genai]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, genai_cache: Path) -> Measured:
    """`pytest -m genai_cpu` itself: every row of its matrix, by GenAI in an environment of its own."""
    folder = tmp_path_factory.mktemp("run")
    return measure("genai_cpu", folder, f"--perf-python={GENAI_PYTHON}", quiet=False, cache=genai_cache)


def test_every_row_did_the_work_that_was_planned(measured: Measured) -> None:
    check_planned_work(measured, "genai-cpu.toml")


def test_the_outputs_are_the_models(measured: Measured) -> None:
    """Each precision was compared with plain transformers in FP32, on the weights that it was made from."""
    by_group = {accuracy.group: accuracy for accuracy in measured.session.accuracy}
    assert set(by_group) == {f"tiny-dummy.genai.{precision}" for precision in ("fp32", "int8", "int4")}
    assert all(accuracy.positions == 48 for accuracy in by_group.values())
    distances = [by_group[f"tiny-dummy.genai.{precision}"].logit_distance for precision in ("fp32", "int8", "int4")]
    assert distances[0] < 1e-4 < distances[1] < distances[2] < 0.5


def test_the_session_says_what_built_and_measured_it(measured: Measured) -> None:
    software = measured.session.software
    assert {"onnxruntime-genai", "onnx-ir", "onnxruntime"} <= set(software)
    for group in measured.session.telemetry["groups"].values():
        assert group["engine"]["onnxruntime-genai"] == software["onnxruntime-genai"]
        assert group["engine"]["device"] == "CPU"
        assert group["build"]["versions"]["onnxruntime-genai"] == software["onnxruntime-genai"]


def test_a_same_night_passes_and_a_slower_one_fails(measured: Measured, tmp_path: Path) -> None:
    check_nights_where_quiet(measured, tmp_path)


def test_without_genai_a_build_says_what_to_install(tmp_path: Path, cache: Path) -> None:
    """In the environment that runs this, which has no need of it."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "genai_cpu", "-k", "int8", "--perf-model=tiny", "--perf-profile=smoke",
         f"--perf-cache={cache}", f"--perf-sessions={tmp_path / 'sessions'}"],
        cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 1
    assert "make genai" in done.stdout
