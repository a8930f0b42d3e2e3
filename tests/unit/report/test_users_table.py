"""Rows of users beside each other."""

from __future__ import annotations

from typing import Any

import pytest

from tokgate.report.users_table import users_table
from tokgate.session import Row, Session

pytestmark = pytest.mark.unit


def row(scenario: str, metric: str, unit: str, value: float) -> Row:
    better: Any = "higher" if metric == "request_throughput" else "lower"
    return Row(scenario=scenario, metric=metric, unit=unit, better=better, gated=False, launches=[[value]])


def event(scenario: str, requests: int, failed: int = 0) -> dict[str, Any]:
    return {"scenario": scenario, "requests": requests, "failed": failed, "unfinished": 1}


def session(rows: list[Row], *rounds: dict[str, Any]) -> Session:
    telemetry = {"groups": {"all": {"launches": [{"rounds": list(rounds)}]}}}
    return Session(
        schema=1, id="s", started="2026-11-21T00:00:00Z", profile="quick", machine={"id": "m", "kind": "cpu"},
        software={}, valid=True, reasons=[], rows=rows, telemetry=telemetry,
    )  # fmt: skip


def test_the_assignments_table() -> None:
    rows = [
        row("q.onnx.fp32.ramp", "peak_memory", "B", 3 * 2**30),
        row("q.onnx.fp32.ramp", "request_throughput", "req/s", 0.3),
        row("q.onnx.fp32.ramp", "e2el", "s", 23.0),
        row("q.onnx.fp32.ramp", "p90_e2el", "s", 40.0),
    ]
    found = session(rows, event("q.onnx.fp32.ramp", 22), event("q.onnx.int8.ramp", 7, failed=6))
    lines = users_table(found, ["onnx.fp32.ramp", "onnx.int8.ramp"]).splitlines()
    assert lines[0].split() == ["memory", "RPS", "p50", "p90", "requests", "failed", "unfinished"]
    assert lines[1].split() == ["onnx.fp32.ramp", "3.00", "GiB", "0.30", "23.0", "s", "40.0", "s", "22", "0", "1"]
    assert lines[2].split() == ["onnx.int8.ramp", "7", "6", "1"], "a load with failures has its counts alone"


def test_what_was_not_measured_is_left_out() -> None:
    found = session([], event("q.onnx.int8.ramp", 7))
    lines = users_table(found, ["onnx.fp32.ramp", "onnx.int8.ramp"]).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["onnx.int8.ramp"]


def test_rounds_and_launches_are_counted_together() -> None:
    found = session([], event("q.onnx.int8.ramp", 7), event("q.onnx.int8.ramp", 5, failed=1))
    assert users_table(found, ["onnx.int8.ramp"]).splitlines()[1].split() == ["onnx.int8.ramp", "12", "1", "2"]
