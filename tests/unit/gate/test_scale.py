from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.gate.scale import (
    change_pct,
    delta_of,
    fastest_half,
    harm,
    in_words,
    interval_text,
    launch_values,
    session_value,
    size_text,
    value_of,
)

pytestmark = pytest.mark.unit

DIRECTIONS = st.sampled_from(["higher", "lower"])
VALUES = st.floats(1e-6, 1e6)


@given(VALUES, DIRECTIONS)
def test_harm_and_value_of_are_inverse(value, better):
    assert value_of(harm(value, better), better) == pytest.approx(value)


@given(st.floats(-90, 90), DIRECTIONS)
def test_change_pct_and_delta_of_are_inverse(pct, better):
    assert change_pct(delta_of(pct, better), better) == pytest.approx(pct)


@pytest.mark.parametrize(
    ("better", "old", "new", "expected"),
    [("higher", 100, 80, 20), ("higher", 100, 125, -25), ("lower", 2.0, 2.5, 25), ("lower", 2.0, 1.0, -50)],
)
def test_change_is_positive_when_worse_whatever_the_direction(better, old, new, expected):
    assert change_pct(harm(new, better) - harm(old, better), better) == pytest.approx(expected)


def test_a_boundless_bound_stays_a_finite_number():
    """Two sessions and one degree of freedom give bounds that exp() cannot hold; JSON has no infinity."""
    assert math.isfinite(change_pct(5000, "lower"))
    assert math.isfinite(change_pct(-5000, "higher"))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=9), st.randoms())
def test_session_value_ignores_the_order_and_the_slow_half(ys, random):
    shuffled = ys.copy()
    random.shuffle(shuffled)
    best = sorted(ys)[: (len(ys) + 1) // 2]
    slower = [*best, *(y + 1 for y in sorted(ys)[len(best) :])]
    assert fastest_half(shuffled) == fastest_half(ys) == fastest_half(slower)


def test_a_launch_counts_once_however_many_iterations_it_has():
    assert launch_values([[1.0, 9.0, 2.0], [5.0]]) == [2.0, 5.0]


def test_fastest_half_of_a_throughput_is_its_highest_values():
    assert session_value([[100], [100], [50]], "higher") == pytest.approx(100)
    assert session_value([[1.0], [1.0], [2.0]], "lower") == pytest.approx(1.0)


def test_the_value_of_one_launch_is_exact():
    """A limit of 3,332.1 tok/s met exactly must not be missed by the rounding of exp(log(x))."""
    assert session_value([[3332.1]], "higher") == 3332.1


def test_what_is_far_beyond_anything_meant_is_told_without_digits():
    assert interval_text((-2202546.6, 28.04)) == "[<-1000, +28.0]"
    assert interval_text((-1000.0, 2000.0)) == "[<-1000, >+1000]"
    assert in_words(2202546.6) == "over 1000% worse"
    assert in_words(-3.14) == "3.1% better"
    assert size_text(999.94) == "999.9%"
