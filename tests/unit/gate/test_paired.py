"""The paired comparison: its estimate, its error, and what a disturbed pair may do to it."""

from __future__ import annotations

import math
from functools import partial
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.gate.examples import make_row
from tokgate.gate.paired import (
    compare_differences,
    compare_pairs,
    differences,
    paired_prior,
    pairs_to_settle,
    trimmed_mean,
    winsorized_variance,
)
from tokgate.gate.variance import NO_PRIOR

pytestmark = pytest.mark.unit

stats = partial(import_module, "scipy.stats")
mstats = partial(import_module, "scipy.stats.mstats")
values = st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=3, max_size=40)


@settings(deadline=None)  # the first example imports scipy.stats
@given(values)
def test_the_trimmed_mean_is_scipys(sample):
    assert trimmed_mean(sample) == pytest.approx(stats().trim_mean(sample, 0.2), abs=1e-12)


@settings(deadline=None)
@given(values)
def test_the_variance_is_that_of_the_winsorised_values(sample):
    winsorised = np.asarray(mstats().winsorize(np.array(sample), limits=(0.2, 0.2)))
    kept = len(sample) - 2 * int(0.2 * len(sample))
    expected = ((winsorised - winsorised.mean()) ** 2).sum() / (kept - 1)
    assert winsorized_variance(sample) == pytest.approx(expected, abs=1e-12)


def test_the_standard_error_is_yuens():
    """Against the two-sample form of scipy: with a constant second sample its t is the one-sample t."""
    sample = [0.031, 0.012, 0.044, 0.027, -0.008, 0.019, 0.240, 0.035, 0.022, 0.016, 0.029, 0.041]
    found = compare_differences(sample, NO_PRIOR)
    still = stats().ttest_ind(sample, [0.0] * len(sample), trim=0.2, equal_var=False)
    assert found.delta / found.standard_error == pytest.approx(still.statistic)
    assert found.df == 7


def test_without_trimming_it_is_students_t():
    sample = [0.01, 0.03, 0.02, 0.05]
    found = compare_differences(sample, NO_PRIOR)
    assert found.delta / found.standard_error == pytest.approx(stats().ttest_1samp(sample, 0).statistic)


@given(values, st.floats(-1, 1))
def test_a_common_change_moves_the_estimate_and_not_its_error(sample, shift):
    before = compare_differences(sample, NO_PRIOR)
    after = compare_differences([value + shift for value in sample], NO_PRIOR)
    assert after.delta == pytest.approx(before.delta + shift, abs=1e-9)
    assert after.standard_error == pytest.approx(before.standard_error, abs=1e-6)


@given(st.lists(st.tuples(st.floats(1, 100), st.floats(1, 100)), min_size=3, max_size=20))
def test_changing_sides_changes_the_sign(pairs):
    one = compare_pairs(make_row([[1]], pairs=[list(pair) for pair in pairs]), NO_PRIOR)
    other = compare_pairs(make_row([[1]], pairs=[list(reversed(pair)) for pair in pairs]), NO_PRIOR)
    assert other.delta == pytest.approx(-one.delta, abs=1e-12)


def test_slower_is_positive_for_a_rate_and_for_a_duration():
    rate = make_row([[1]], pairs=[[100, 90]])
    duration = make_row([[1]], better="lower", unit="s", metric="ttft", pairs=[[0.9, 1.0]])
    assert differences(rate) == pytest.approx([math.log(100 / 90)])
    assert differences(duration) == pytest.approx([math.log(100 / 90)])


def test_two_pairs_of_twelve_that_something_slowed_decide_nothing():
    quiet = [0.001 * (number % 5 - 2) for number in range(12)]
    disturbed = [*quiet[:10], 0.34, 0.29]
    assert compare_differences(disturbed, NO_PRIOR).delta < 0.002


def test_rows_lend_each_other_degrees_of_freedom():
    rng = np.random.default_rng(4)
    rows = [make_row([[1]], pairs=[[1.0, math.exp(value)] for value in rng.normal(0, 0.01, 12)]) for _ in range(20)]
    alone = compare_pairs(rows[0], NO_PRIOR)
    together = compare_pairs(rows[0], paired_prior(rows))
    assert together.df > 3 * alone.df
    assert paired_prior(rows[:1]) is NO_PRIOR


def test_what_all_rows_of_a_pair_share_is_known_from_the_pairs_alone():
    """Twenty rows that move as one hold the degrees of freedom of one row."""
    common = np.random.default_rng(5).normal(0, 0.01, 12)
    rows = [make_row([[1]], pairs=[[1.0, math.exp(value)] for value in common]) for _ in range(20)]
    assert compare_pairs(rows[0], paired_prior(rows)).df == pytest.approx(7)


def test_more_pairs_settle_what_a_few_left_open():
    open_case = compare_differences([0.05, 0.01, 0.03, 0.07, -0.01, 0.04, 0.02], NO_PRIOR)
    assert open_case.lower(0.01) < 0.02 < open_case.delta
    more = pairs_to_settle(open_case, 0.02, 0.06, 0.01, 0.05)
    assert more is not None
    assert more > 0
    later = open_case.with_pairs(open_case.pairs + more)
    assert later.lower(0.01) > 0.02 or later.upper(0.05) < 0.06
    stuck = compare_differences([0.030, 0.050, 0.040, 0.045, 0.035], NO_PRIOR)
    assert pairs_to_settle(stuck, 0.0400, 0.0401, 0.01, 0.05) is None
