from __future__ import annotations

import math
from functools import partial
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokgate.gate.comparison import (
    Comparison,
    compare,
    compare_values,
    sessions_to_settle,
)
from tokgate.gate.estimate import noncentrality, quantile
from tokgate.gate.variance import NO_PRIOR, Prior

pytestmark = pytest.mark.unit

# Imported when a test runs: it takes longer than collecting all the others.
stats = partial(import_module, "scipy.stats")


@settings(deadline=None)  # the first example imports scipy.stats
@given(st.floats(1, 200), st.floats(1e-4, 0.4))
def test_quantile_is_students(df, level):
    assert quantile(df, level) == pytest.approx(stats().t.isf(level, df), rel=1e-6)


def test_the_interval_is_that_of_a_new_session():
    """Against the textbook: mean -+ t * s * sqrt(1 + 1/n)."""
    values = [0.01, -0.02, 0.015, 0.0, 0.005]
    comparison = compare_values(0.10, values, NO_PRIOR)
    error = np.std(values, ddof=1) * math.sqrt(1 + 1 / 5)
    assert comparison.delta == pytest.approx(0.10 - np.mean(values))
    assert comparison.lower(0.05) == pytest.approx(comparison.delta - stats().t.isf(0.05, 4) * error)
    assert comparison.upper(0.001) == pytest.approx(comparison.delta + stats().t.isf(0.001, 4) * error)


def test_the_bound_holds_at_its_level():
    """A new session of the same distribution exceeds the upper bound as often as promised."""
    rng = np.random.default_rng(3)
    draws = rng.normal(0, 0.01, (4000, 6))
    misses = sum(compare_values(now, list(past), NO_PRIOR).lower(0.05) > 0 for now, *past in draws)
    assert stats().binomtest(misses, 4000, 0.05).pvalue > 0.001


def test_minimum_detectable_effect_is_detected_with_the_promised_power():
    """Simulated: at the MDE the lower bound is beyond the tolerance 80% of the time."""
    rng = np.random.default_rng(4)
    sd, sessions, level, tolerance = 0.01, 5, 0.01, 0.01
    ideal = Comparison(baseline=0, current=0, sessions=sessions, sd=sd, df=sessions - 1, slowest=0)
    effect = ideal.minimum_detectable(tolerance, level, 0.80)
    draws = rng.normal(0, sd, (4000, sessions + 1))
    # The noncentral t averages over the estimated s; the MDE of one row uses its own s in place of sigma.
    seen = sum(compare_values(now + effect, list(past), NO_PRIOR).lower(level) > tolerance for now, *past in draws)
    assert seen / 4000 == pytest.approx(0.80, abs=0.025)


@pytest.mark.parametrize(("df", "level"), [(1.0, 4e-4), (4.0, 4e-4), (12.0, 4e-4), (math.inf, 4e-4)])
def test_noncentrality_solves_the_noncentral_t(df, level):
    found = noncentrality(df, level, 0.8)
    power = (
        stats().norm.sf(quantile(df, level) - found)
        if math.isinf(df)
        else stats().nct.sf(quantile(df, level), df, found)
    )
    assert power == pytest.approx(0.8, abs=1e-3)


def test_unequal_launch_counts_are_compared_like_with_like():
    """The best half of six launches is faster than one launch although nothing changed."""
    rng = np.random.default_rng(6)
    past = [sorted(rng.normal(0, 0.05, 6)) for _ in range(200)]
    once = compare([0.0], [list(rng.permutation(launches)) for launches in past], NO_PRIOR)
    assert once.baseline == pytest.approx(0.0, abs=0.015)
    assert compare([0.0] * 6, past, NO_PRIOR).baseline < -0.02


def test_one_accepted_session_has_no_interval():
    comparison = compare_values(0.1, [0.0], Prior(10.0, 1e-4, 100.0))
    assert comparison.provisional
    assert comparison.delta == pytest.approx(0.1)


def test_sessions_to_settle_counts_to_the_first_that_decides():
    comparison = Comparison(baseline=0, current=0.0, sessions=2, sd=0.02, df=1, slowest=0)
    more = sessions_to_settle(comparison, 0.02, 0.06, 4e-4, 0.05)
    assert more is not None
    assert comparison.with_sessions(2 + more).upper(0.05) < 0.06
    assert not comparison.with_sessions(2 + more - 1).upper(0.05) < 0.06


def test_no_number_of_sessions_settles_a_row_noisier_than_its_margin():
    comparison = Comparison(baseline=0, current=0.03, sessions=5, sd=0.05, df=4, slowest=0)
    assert sessions_to_settle(comparison, 0.02, 0.06, 4e-4, 0.05) is None
