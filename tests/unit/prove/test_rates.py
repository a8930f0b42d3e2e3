"""Clopper and Pearson's bounds, against published and closed-form values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tokgate.prove.rates import Rate

pytestmark = pytest.mark.unit


def test_none_and_all_have_a_closed_form() -> None:
    """0 of n: the upper bound is 1 - 0.025^(1/n); all of n: the lower one is 0.025^(1/n)."""
    assert (Rate(0, 100).low, Rate(0, 100).high) == (0.0, pytest.approx(1 - 0.025**0.01))
    assert (Rate(100, 100).low, Rate(100, 100).high) == (pytest.approx(0.025**0.01), 1.0)


def test_a_table_value() -> None:
    """10 of 100: 4.9% to 17.6%."""
    assert Rate(10, 100).low == pytest.approx(0.0490, abs=5e-5)
    assert Rate(10, 100).high == pytest.approx(0.1762, abs=5e-5)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_it_is_the_exact_interval_of_scipy(counts: tuple[int, int]) -> None:
    rate = Rate(*counts)
    known = binomtest(*counts).proportion_ci(0.95, method="exact")
    assert (rate.low, rate.high) == (pytest.approx(known.low), pytest.approx(known.high))
    assert rate.low <= rate.share <= rate.high
