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


def nights(share, rows=24, count=5, sds=0.01, seed=1):
    """Residuals of rows that have `share` of their variance in common."""
    rng = np.random.default_rng(seed)
    common, alone = rng.normal(size=(1, count)), rng.normal(size=(rows, count))
    values = np.broadcast_to(sds, rows)[:, None] * (math.sqrt(share) * common + math.sqrt(1 - share) * alone)
    return values - values.mean(axis=1, keepdims=True)


def test_a_common_night_effect_is_known_from_the_nights_alone():
    """24 rows that move together are one observation a night: the degrees of freedom go back to B - 1."""
    share = common_share(nights(0.9999))
    assert share > 0.95
    assert Prior(math.inf, 1e-4, 96, share, 5).moderate(1e-4, 4).df < 5


def test_a_common_night_effect_never_adds_degrees_of_freedom():
    """However many nights other rows have had."""
    prior = Prior(1.2, 1e-4, 100.0, common_share=0.5, nights=12)
    assert prior.moderate(1e-4, 4).df == pytest.approx(5.2)


@pytest.mark.parametrize("share", [0.0, 0.4, 0.8])
def test_the_common_share_is_how_rows_correlate_however_unlike_their_noise(share):
    """One row ten times as noisy as another counts as much, and no more."""
    sds = np.geomspace(0.01, 0.1, 24)
    found = [common_share(nights(share, sds=sds, seed=seed)) for seed in range(400)]
    assert float(np.mean(found)) == pytest.approx(share, abs=0.06)


def test_rows_that_never_met_have_no_common_share():
    apart = nights(0.9, rows=4, count=6)
    apart[:2, :3] = apart[2:, 3:] = math.nan
    apart -= np.nanmean(apart, axis=1, keepdims=True)
    together = common_share(apart)
    assert 0 <= together <= 1
    lone = np.full((3, 6), math.nan)
    for row in range(3):
        lone[row, 2 * row : 2 * row + 2] = (-0.01, 0.01)
    assert common_share(lone) == 0


def test_independent_rows_have_no_common_share():
    apart = nights(0.0, count=20, seed=2)
    apart[3, 5:] = math.nan
    apart -= np.nanmean(apart, axis=1, keepdims=True)
    assert common_share(apart) < 0.1
