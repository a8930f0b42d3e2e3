from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import polygamma

from tokgate.gate.variance import NO_PRIOR, VARIANCE_FLOOR, Prior, common_share, fit, trigamma_inverse

pytestmark = pytest.mark.unit


@given(st.floats(1e-8, 1e8))
def test_trigamma_inverse_inverts_trigamma(x):
    assert float(polygamma(1, trigamma_inverse(x))) == pytest.approx(x, rel=1e-6)


@pytest.mark.parametrize(("d0", "s0", "d"), [(4.0, 0.005, 4), (10.0, 0.02, 9), (3.0, 0.001, 19)])
def test_fit_recovers_known_parameters(d0, s0, d):
    """Variances drawn as s0^2 times F(d, d0) are what the model says they are; 5,000 rows pin both down."""
    rng = np.random.default_rng(5)
    variances = s0**2 * rng.f(d, d0, 5000)
    prior = fit(variances.tolist(), [d] * 5000)
    assert prior.d0 == pytest.approx(d0, rel=0.12)
    assert math.sqrt(prior.s0_squared) == pytest.approx(s0, rel=0.03)


def test_fit_is_smyths_estimator():
    """Against the closed formulas, with unequal degrees of freedom."""
    variances, dfs = [1e-4, 4e-4, 2e-5, 9e-4], [4.0, 5.0, 9.0, 5.0]
    prior = fit(variances, dfs)
    d, z = np.array(dfs), np.log(variances)
    e = z - polygamma(0, d / 2) + np.log(d / 2)
    moment = e.var(ddof=1) - polygamma(1, d / 2).mean()
    assert float(polygamma(1, prior.d0 / 2)) == pytest.approx(float(moment))
    expected = math.exp(e.mean() + float(polygamma(0, prior.d0 / 2)) - math.log(prior.d0 / 2))
    assert prior.s0_squared == pytest.approx(expected)


def test_rows_of_one_variance_pool():
    """No more dispersion than chance gives means d0 = inf, and the pooled variance as s0^2."""
    prior = fit([1e-4, 2e-4, 1.5e-4, 0.8e-4], [4, 4, 4, 8])
    assert math.isinf(prior.d0)
    assert prior.s0_squared == pytest.approx((4 * (1e-4 + 2e-4 + 1.5e-4) + 8 * 0.8e-4) / 20)
    assert prior.moderate(1e-4, 4).df == 20


def test_no_estimate_has_more_degrees_of_freedom_than_the_rows_together():
    prior = Prior(d0=500.0, s0_squared=1e-4, d_total=12.0)
    assert prior.moderate(1e-4, 4).df == 12


def test_few_sessions_make_the_fit_cautious():
    """Dispersion of log variances that chance alone explains: from 5 sessions on it is taken as chance."""

    def fit_by_chance(df):
        z = np.linspace(-1, 1, 24)
        z *= math.sqrt(float(polygamma(1, df / 2)) / z.var(ddof=1))
        return fit((1e-4 * np.exp(z)).tolist(), [df] * 24)

    assert fit_by_chance(1).d0 < fit_by_chance(3).d0 < 20
    assert math.isinf(fit_by_chance(4).d0)


@pytest.mark.parametrize("variances", [[], [1e-4]])
def test_one_row_has_no_fellows_to_learn_from(variances):
    prior = fit(variances, [4.0] * len(variances))
    assert prior == NO_PRIOR
    assert prior.moderate(4e-4, 4).sd == pytest.approx(0.02)
    assert prior.moderate(4e-4, 4).df == 4


def test_copied_numbers_do_not_make_a_perfect_instrument():
    prior = fit([0.0] * 8, [4.0] * 8)
    moderated = prior.moderate(0.0, 4)
    assert moderated.sd == pytest.approx(math.sqrt(VARIANCE_FLOOR))
    assert math.isfinite(moderated.df)


def test_a_stuck_counter_among_noisy_rows_keeps_the_fit_finite():
    prior = fit([0.0, 1e-4, 2e-4, 1e-4, 3e-4], [4.0] * 5)
    assert 0 < prior.d0 < 4
    assert 1e-6 < prior.s0_squared < 1e-3


@given(st.lists(st.floats(1e-6, 1e-1), min_size=2, max_size=30), st.floats(0, 1e-1), st.integers(1, 29))
def test_moderation_lies_between_own_and_prior(variances, own, df):
    prior = fit(variances, [4.0] * len(variances))
    moderated = prior.moderate(own, df)
    own = max(own, VARIANCE_FLOOR)
    low, high = sorted((own, prior.s0_squared))
    assert low * 0.999 <= moderated.sd**2 <= high * 1.001
    assert moderated.df > 0


def test_a_common_night_effect_is_known_from_the_nights_alone():
    """24 rows that move together are one observation a night: the degrees of freedom go back to B - 1."""
    rng = np.random.default_rng(1)
    together = np.tile(rng.normal(0, 0.01, 5), (24, 1)) + rng.normal(0, 1e-4, (24, 5))
    together -= together.mean(axis=1, keepdims=True)
    s0_squared = float((together**2).sum(axis=1).mean() / 4)
    share = common_share(together, s0_squared)
    assert share > 0.95
    assert Prior(math.inf, s0_squared, 96, share, 5).moderate(s0_squared, 4).df < 5


def test_independent_rows_have_no_common_share():
    rng = np.random.default_rng(2)
    apart = rng.normal(0, 0.01, (24, 20))
    apart[3, 5:] = math.nan
    apart -= np.nanmean(apart, axis=1, keepdims=True)
    assert common_share(apart, 1e-4) < 0.1
