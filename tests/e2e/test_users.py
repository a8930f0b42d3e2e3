"""Locust's users for real, on /generate over ONNX Runtime and on vLLM's build for CPUs, with a tiny model.

Cores are shared where this runs: what is looked at are the counts, and the timings only where they are valid.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flow import ROOT, VLLM_PYTHON, Measured, measure, needs_vllm

from tokgate.matrix_file import load_matrix

pytestmark = pytest.mark.e2e


def rounds(measured: Measured) -> list[dict[str, Any]]:
    groups = measured.session.telemetry["groups"].values()
    return [event for group in groups for launch in group["launches"] for event in launch["rounds"]]


def check(measured: Measured, file: str) -> None:
    """Every row was loaded, no request failed, and every answer had its tokens."""
    matrix = load_matrix(ROOT / "scenarios" / file).with_models(lambda shape: "tiny-dummy")
    planned = {row.id: row for row in matrix.rows("smoke")}
    found = rounds(measured)
    assert {event["scenario"] for event in found} == planned.keys()
    for event in found:
        row = planned[event["scenario"]]
        assert event["fault"] is None
        assert event["failed"] == 0
        assert event["succeeded"] == event["requests"] >= row.batch
        assert event["output_tokens"] == row.output_len * event["succeeded"]
        assert event["prompt_tokens"] == row.prompt_len * event["succeeded"]
        assert event["client"]["processes"] == 1
        assert {"request_throughput", "e2el", "p90_e2el", "p95_e2el", "p99_e2el"} <= event["figures"].keys()
    assert {entry.group for entry in measured.session.accuracy} == {row.group.id for row in planned.values()}


def test_generate_serves_its_users(tmp_path: Path, cache: Path) -> None:
    measured = measure("load", tmp_path, "tests/load/test_generate_users.py", quiet=False, cache=cache)
    check(measured, "load-cpu.toml")
    assert "onnx.int8.generate.ramp.c5.p7.o100" in measured.out.split("session:")[-1], "the two are shown side by side"


@needs_vllm
def test_vllm_serves_a_hundred(tmp_path: Path, vllm_cache: Path) -> None:
    measured = measure("load_vllm_cpu", tmp_path, f"--perf-python={VLLM_PYTHON}", quiet=False, cache=vllm_cache)
    check(measured, "load-vllm-cpu.toml")
