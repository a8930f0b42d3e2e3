"""A server of vLLM for real, on the CPU, under the load client. `make vllm-cpu` makes its environment.

One start of the server takes half a minute, and serves all of this. Cores are shared where it runs: what is looked at
is the work and the counts, and the timings only where they are valid.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest
from flow import ROOT, VLLM_PYTHON, Measured, measure, needs_vllm

from tokgate.matrix_file import load_matrix
from tokgate.metrics import SERVING_METRICS
from tokgate.plan import PlanRow
from tokgate.serving.agreement import METRICS, THEIRS
from tokgate.serving.crosscheck import TTFT_OVERHEAD

pytestmark = [pytest.mark.e2e, needs_vllm]

GROUP = "tiny-dummy.serve.bf16"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, vllm_cache: Path) -> Measured:
    """`pytest -m serving_vllm_cpu` itself: every row of its matrix, on one server."""
    folder = tmp_path_factory.mktemp("run")
    return measure("serving_vllm_cpu", folder, f"--perf-python={VLLM_PYTHON}", quiet=False, cache=vllm_cache)


def rows() -> list[PlanRow]:
    matrix = load_matrix(ROOT / "scenarios" / "serving-vllm-cpu.toml").with_models(lambda shape: "tiny-dummy")
    return [scenario.plan_row for scenario in matrix.rows("smoke")]


def rounds(measured: Measured, row: PlanRow) -> list[dict[str, Any]]:
    (launch,) = measured.session.telemetry["groups"][GROUP]["launches"]
    return [event for event in launch["rounds"] if event["scenario"] == row.scenario]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.scenario)
def test_every_token_is_accounted_for(measured: Measured, row: PlanRow) -> None:
    """In every round, disturbed or not: as many as planned, by the client's count and by the server's own."""
    found = rounds(measured, row)
    assert {event["round"] for event in found} == {0, 1}
    for event in found:
        assert event["fault"] is None
        assert (event["prompt_tokens"], event["output_tokens"]) == (row.prompt_tokens, row.output_tokens)
        if row.traffic is not None and not row.traffic.both_clients:
            assert event["succeeded"] == row.requests
            assert event["server"]["prompt_tokens"] == row.prompt_tokens
            assert event["server"]["output_tokens"] == row.output_tokens
            assert event["server"]["prefix_hits"] == 0, "no prompt came twice"


def test_server_and_client_run_on_different_cores_and_the_session_says_so(measured: Measured) -> None:
    engine = measured.session.telemetry["groups"][GROUP]["engine"]
    assert not set(engine["server_cpus"].split(",")) & set(engine["client_cpus"].split(","))
    assert engine["vllm"]
    assert (engine["dtype"], engine["enforce_eager"]) == ("bfloat16", "True")
    # Of these vLLM's own log says nothing.
    assert (engine["async_scheduling"], engine["speculation"]) == ("False", "none")
    assert f"VLLM_CPU_OMP_THREADS_BIND={engine['server_cpus']}" in engine["environment"]
    assert {"uvloop", "httptools", "vllm-cpu"} <= measured.session.software.keys()


def test_what_is_served_is_the_model(measured: Measured) -> None:
    """Asked over HTTP for the largest log-probabilities, against plain transformers in FP32."""
    (accuracy,) = measured.session.accuracy
    assert (accuracy.group, accuracy.positions) == (GROUP, 48)
    assert accuracy.top1_agreement > 0.8


def test_rows_have_the_metrics_that_are_judged(measured: Measured) -> None:
    known = {metric.name for metric in SERVING_METRICS}
    for row in measured.session.rows:
        assert row.metric in known
        gated = row.scenario == f"{GROUP}.c4.p32.o32" and row.metric in ("output_throughput", "ttft", "tpot")
        assert row.gated or not gated


def test_both_load_clients_measured_the_same_server(measured: Measured) -> None:
    (row,) = [row for row in rows() if row.traffic is not None and row.traffic.both_clients]
    for event in rounds(measured, row):
        for whose in ("", THEIRS):
            figures = {metric: event["figures"][f"{whose}{metric}"] for metric in (*METRICS, TTFT_OVERHEAD)}
            assert 0 < figures[TTFT_OVERHEAD] < figures["mean_ttft"], "vLLM tells its own TTFT of these requests"
        assert event["untold"] is None


def test_nothing_of_the_server_is_left(measured: Measured, vllm_cache: Path) -> None:
    (log,) = (measured.folder / "sessions" / "logs").rglob("*-server.log")
    assert "Application startup complete" in log.read_text()
    command_lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in command_lines if str(vllm_cache) in line]
