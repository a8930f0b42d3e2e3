"""The Grafana dashboard: whole, and of metrics that vLLM has."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.unit.deploy.files import KUBERNETES

pytestmark = pytest.mark.unit

DASHBOARD = json.loads((KUBERNETES / "vllm" / "dashboard.json").read_text())
# vllm/v1/metrics/loggers.py of 0.26.0 and 0.32.0, as Prometheus' client shows them; tests/e2e asks the real one.
COUNTERS = (
    "prompt_tokens", "generation_tokens", "request_success", "num_preemptions", "prefix_cache_hits",
    "prefix_cache_queries",
)  # fmt: skip
GAUGES = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
HISTOGRAMS = (
    "time_to_first_token_seconds", "request_time_per_output_token_seconds", "inter_token_latency_seconds",
    "e2e_request_latency_seconds", "request_queue_time_seconds", "request_prefill_time_seconds",
)  # fmt: skip
EXPORTED = {f"vllm:{name}_total" for name in COUNTERS} | {f"vllm:{name}" for name in GAUGES}
EXPORTED |= {f"vllm:{name}_bucket" for name in HISTOGRAMS}


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_every_panel_reads_metrics_that_vllm_exports() -> None:
    read = {name for expression in expressions() for name in re.findall(r"vllm:\w+", expression)}
    assert read <= EXPORTED
    assert read == EXPORTED, "what the gate reads is all there"


def test_percentiles_are_taken_of_buckets_by_their_bound() -> None:
    for expression in expressions():
        if "histogram_quantile" in expression:
            assert re.search(r"histogram_quantile\(0\.\d+, sum by \(le\) \(rate\(vllm:\w+_bucket\{", expression)
        assert expression.count("(") == expression.count(")")
        assert "model_name=" in expression


def test_panels_have_places_of_their_own_and_a_source() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert not cells(panel) & taken
        taken |= cells(panel)
        assert panel["datasource"]["uid"] == "${datasource}"
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "model"}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
