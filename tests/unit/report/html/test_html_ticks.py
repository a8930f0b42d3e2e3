"""Ticks of logarithmic axes: whole values, enough of them, and only where the values are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.report.html.figures.ticks import value_axis

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("low", "high", "unit", "ticks"),
    [
        (0.03, 2.0, "s", ["30 ms", "100 ms", "300 ms", "1 s"]),
        (0.0005, 0.002, "s", ["500 us", "700 us", "1 ms", "1.5 ms", "2 ms"]),
        (12.0, 480.0, "tok/s", ["20", "50", "100", "200", "500"]),
        (5.0, 150e3, "tok/s", ["10", "100", "1k", "10k", "100k"]),
    ],
)
def test_each_tick_says_its_whole_value(low: float, high: float, unit: str, ticks: list[str]) -> None:
    assert value_axis("", [high, low], unit)["ticktext"] == ticks


@given(st.floats(1e-6, 1e6), st.floats(1.5, 1e8))
def test_ticks_stand_where_the_values_are(low: float, ratio: float) -> None:
    drawn = value_axis("", [low, low * ratio])
    if "tickvals" in drawn:
        ticks = drawn["tickvals"]
        assert ticks == sorted(set(ticks))
        assert 2 <= len(ticks) <= 16
        assert low / 1.2 <= ticks[0] <= ticks[-1] <= low * ratio * 1.2
        assert len(set(drawn["ticktext"])) == len(ticks), "no two of them read alike"
    else:
        assert ratio < 3, "values that are close together have plotly's own"


@pytest.mark.parametrize("values", [[], [0.0, 1.0], [5.0, 5.0]])
def test_values_without_a_range_have_plotlys_own_ticks(values: list[float]) -> None:
    drawn = value_axis("", values, "s")
    assert drawn["type"] == "log"
    assert "tickvals" not in drawn
