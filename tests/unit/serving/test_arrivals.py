from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.errors import InputError
from tokgate.serving.arrivals import Ramp, arrivals, ramped_arrivals

pytestmark = pytest.mark.unit

RATES = st.floats(0.01, 1e4)
SHAPES = st.floats(0.05, 50.0) | st.just(math.inf)


def gaps(due_s):
    return np.diff([0.0, *due_s])


@given(st.integers(1, 200), RATES, SHAPES, st.integers(0, 2**32))
def test_the_last_is_due_when_the_rate_has_it_and_none_before_the_one_before(count, rate, burstiness, seed):
    due_s = arrivals(count, rate, burstiness, seed)
    assert len(due_s) == count
    assert due_s[-1] == pytest.approx(count / rate)
    assert all(before <= after for before, after in itertools.pairwise([0.0, *due_s]))
    assert due_s == arrivals(count, rate, burstiness, seed)


def test_infinite_burstiness_is_a_constant_rate():
    assert arrivals(4, 2.0, math.inf) == pytest.approx([0.5, 1.0, 1.5, 2.0])


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_gaps_vary_as_a_gamma_distribution_of_that_shape(burstiness):
    """Its coefficient of variation is 1 / sqrt(shape); 1 is a Poisson process."""
    found = gaps(arrivals(20_000, 10.0, burstiness, seed=3))
    assert found.std() / found.mean() == pytest.approx(burstiness**-0.5, rel=0.05)


def test_seeds_differ():
    assert arrivals(3, 1.0, seed=1) != arrivals(3, 1.0, seed=2)


def test_a_linear_ramp_has_the_rates_in_between():
    due_s = ramped_arrivals(5, Ramp("linear", 1.0, 5.0), math.inf)
    assert gaps(due_s) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])


def test_an_exponential_ramp_grows_by_one_factor():
    due_s = ramped_arrivals(4, Ramp("exponential", 8.0, 1.0), math.inf)
    assert gaps(due_s) == pytest.approx([1 / 8, 1 / 4, 1 / 2, 1])


def test_a_ramp_is_random_around_its_rates():
    due_s = ramped_arrivals(50_000, Ramp("linear", 10.0, 10.0), 1.0, seed=5)
    assert due_s[-1] == pytest.approx(5_000, rel=0.02)


def test_one_request_ramps_nowhere():
    assert ramped_arrivals(1, Ramp("linear", 4.0, 8.0), math.inf) == [0.25]
    assert arrivals(0, 1.0) == []


@pytest.mark.parametrize("rate", [0.0, -1.0, math.inf, math.nan])
def test_rates_that_cannot_be_are_refused(rate):
    with pytest.raises(InputError, match="request rate"):
        arrivals(3, rate)
    with pytest.raises(InputError, match="a ramp from"):
        ramped_arrivals(3, Ramp("linear", rate, 1.0))


@pytest.mark.parametrize("burstiness", [0.0, -1.0, math.nan])
def test_burstiness_that_cannot_be_is_refused(burstiness):
    with pytest.raises(InputError, match="burstiness"):
        arrivals(3, 1.0, burstiness)
