"""The metric definitions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.metrics import OFFLINE_METRICS, Round

pytestmark = pytest.mark.unit


def test_the_definitions_by_hand() -> None:
    """8 sequences of 50 tokens, 0.5 s to the first, 5.4 s in all: 49 decode steps take 4.9 s."""
    values = Round(400, 8, prefill_s=0.5, total_s=5.4, cpu_s=10.0, peak_rss_bytes=2**31).values()
    assert values["output_throughput"] == pytest.approx(400 / 5.4)
    assert values["ttft"] == 0.5
    assert values["tpot"] == pytest.approx(0.1)
    assert values["e2el"] == 5.4
    assert values["cpu_time_per_token"] == pytest.approx(0.025)
    assert values["peak_memory"] == 2**31


def test_a_gpus_memory_and_energy_are_there_where_they_were_measured() -> None:
    values = Round(400, 8, 0.5, 5.4, 10.0, 2**31, gpu_peak_bytes=2**36, energy_j=2000.0).values()
    assert values["peak_gpu_memory"] == 2**36
    assert values["energy_per_token"] == 5.0
    assert not {"peak_gpu_memory", "energy_per_token"} & Round(400, 8, 0.5, 5.4, 10.0, 2**31).values().keys()


def test_an_engine_that_knows_tpot_by_sequence_is_believed() -> None:
    values = Round(400, 8, prefill_s=0.5, total_s=5.4, cpu_s=10.0, peak_rss_bytes=1, tpot_s=0.09).values()
    assert values["tpot"] == 0.09


def test_one_token_has_no_tpot() -> None:
    assert "tpot" not in Round(1, 1, 0.5, 0.5, 1.0, 1).values()


@given(st.integers(1, 64), st.integers(2, 512), st.floats(1e-4, 10), st.floats(1e-4, 100))
def test_prefill_and_decode_make_up_the_whole(batch: int, output_len: int, prefill_s: float, decode_s: float) -> None:
    """E2EL = TTFT + TPOT * (n - 1), and throughput * E2EL = tokens."""
    values = Round(batch * output_len, batch, prefill_s, prefill_s + decode_s, 1.0, 1).values()
    assert values["ttft"] + values["tpot"] * (output_len - 1) == pytest.approx(values["e2el"])
    assert values["output_throughput"] * values["e2el"] == pytest.approx(batch * output_len)


def test_each_metric_has_a_direction_and_a_unit() -> None:
    assert {metric.name: metric.better for metric in OFFLINE_METRICS}["output_throughput"] == "higher"
    assert all(metric.unit in ("tok/s", "s", "B", "J") for metric in OFFLINE_METRICS)
