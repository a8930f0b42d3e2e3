"""How a rate is printed."""

from __future__ import annotations

import pytest

from tokgate.prove.rates import Rate
from tokgate.prove.table import cell

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("count", "nights", "text"),
    [
        (0, 1000, "0 (0-0.4)"),
        (3, 1000, "0.3 (0-0.9)"),
        (99, 1000, "9.9 (8.1-12)"),
        (100, 1000, "10 (8.2-13)"),
        (950, 1000, "95 (93-97)"),
        (1000, 1000, "100 (99-100)"),
    ],
)
def test_a_cell(count: int, nights: int, text: str) -> None:
    assert cell(Rate(count, nights)) == text


def test_bounds_are_rounded_outward() -> None:
    rate = Rate(57, 60)
    low, high = (float(part) for part in cell(rate).split("(")[1].rstrip(")").split("-"))
    assert low <= 100 * rate.low
    assert high >= 100 * rate.high


def test_what_was_not_measured_is_left_empty() -> None:
    assert cell(None) == ""
