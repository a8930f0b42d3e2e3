from __future__ import annotations

import pytest

from gate.examples import make_row
from tokgate.gate.defaults import Thresholds, default_thresholds, thresholds

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("kind", "metric", "paired", "tolerance_pct", "margin_pct"),
    [
        ("gpu", "output_throughput", False, 1, 6),
        ("gpu", "tpot", True, 1, 3),
        ("gpu", "ttft", False, 2, 6),
        ("gpu", "p99_ttft", False, 2, 6),
        ("cpu", "output_throughput", False, 2, 20),
        ("cpu", "ttft", True, 2, 6),
    ],
)
def test_defaults_are_those_of_the_design(kind, metric, paired, tolerance_pct, margin_pct):
    assert default_thresholds(kind, metric, paired) == Thresholds(tolerance_pct, margin_pct)


def test_a_row_overrides_one_threshold_and_keeps_the_other_default():
    row = make_row([[1]], margin_pct=9.0)
    assert thresholds(row, "gpu") == Thresholds(1, 9.0)
    assert thresholds(make_row([[1]], tolerance_pct=0.0), "cpu") == Thresholds(0.0, 20)
