"""Differences of settings: passes cancel, and what is equal is told apart in no more sweeps than is said."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tokgate.sweep.estimates import Comparisons, levels
from tokgate.sweep.ranking import FAMILY_LEVEL, apart, pair_level

pytestmark = pytest.mark.unit

VALUES = st.floats(10.0, 1000.0)


def table(settings: int, passes: int) -> st.SearchStrategy[list[list[float]]]:
    return st.lists(st.lists(VALUES, min_size=passes, max_size=passes), min_size=settings, max_size=settings)


def by_pass(values: list[list[float]]) -> dict[int, dict[int, float]]:
    return {key: dict(enumerate(row)) for key, row in enumerate(values)}


@given(table(3, 4), st.lists(st.floats(0.5, 2.0), min_size=4, max_size=4))
def test_what_slows_a_whole_pass_changes_no_difference(values: list[list[float]], drift: list[float]) -> None:
    plain = Comparisons(by_pass(values), "higher")
    slowed = [[value * factor for value, factor in zip(row, drift, strict=True)] for row in values]
    moved = Comparisons(by_pass(slowed), "higher")
    for one, two in itertools.permutations(range(3), 2):
        before, now = plain.difference(one, two), moved.difference(one, two)
        assert now.delta == pytest.approx(before.delta, abs=1e-9)
        assert now.standard_error == pytest.approx(before.standard_error, rel=1e-4, abs=1e-6)


@given(table(2, 3))
def test_of_two_settings_it_is_the_paired_comparison(values: list[list[float]]) -> None:
    """Student's paired t: the mean of the log ratios, their standard error, passes - 1 degrees of freedom."""
    ratios = [math.log(two / one) for one, two in zip(*values, strict=True)]
    mean = sum(ratios) / 3
    variance = sum((ratio - mean) ** 2 for ratio in ratios) / 2
    assume(variance > 1e-6)
    found = Comparisons(by_pass(values), "higher").difference(0, 1)
    assert found.delta == pytest.approx(mean, abs=1e-9)
    assert found.standard_error == pytest.approx(math.sqrt(variance / 3), rel=1e-6)
    assert found.df == pytest.approx(2)


@given(table(4, 3))
def test_differences_add_up_and_change_sign(values: list[list[float]]) -> None:
    found = Comparisons(by_pass(values), "lower")
    assert found.difference(0, 1).delta == pytest.approx(-found.difference(1, 0).delta)
    added = found.difference(0, 1).delta + found.difference(1, 2).delta
    assert found.difference(0, 2).delta == pytest.approx(added, abs=1e-9)
    assert found.effect(0) - found.effect(2) == pytest.approx(added, abs=1e-9)


def test_settings_that_share_no_pass_cannot_be_compared() -> None:
    found = Comparisons({1: {1: 100.0, 2: 101.0}, 2: {3: 50.0, 4: 51.0}}, "higher").difference(1, 2)
    assert found.standard_error == math.inf
    assert not apart(found, 0.025)


def test_a_launch_of_a_pass_of_its_own_says_nothing() -> None:
    """A launch made again alone has no other to be compared with; the others decide as they would without it."""
    values = {1: {1: 100.0, 2: 104.0}, 2: {1: 90.0, 2: 91.0}, 3: {1: 80.0, 2: 83.0}}
    alone = {**values, 1: {**values[1], 9: 1.0}}
    with_it, without = (Comparisons(each, "higher").difference(1, 2) for each in (alone, values))
    assert with_it.delta == pytest.approx(without.delta)
    assert with_it.standard_error == pytest.approx(without.standard_error)


@pytest.mark.parametrize(
    ("settings", "passes", "spread"),
    [(3, 3, 1.0), (8, 3, 1.0), (8, 5, 1.0), (8, 4, 3.0), (20, 3, 1.0)],
)
def test_equal_settings_are_told_apart_in_no_more_sweeps_than_5_in_100(
    settings: int, passes: int, spread: float
) -> None:
    """With passes that drift by 5%, and noise of 1% that is `spread` times as large in every second setting."""
    chance, sweeps = random.Random(f"{settings} {passes} {spread}"), 300
    level = pair_level(settings)
    false = 0
    for _ in range(sweeps):
        drift = [chance.gauss(0, 0.05) for _ in range(passes)]
        values = by_pass([
            [100 * math.exp(chance.gauss(0, 0.01 * (spread if key % 2 else 1)) + moved) for moved in drift]
            for key in range(settings)
        ])  # fmt: skip
        found = Comparisons(values, "higher")
        false += any(apart(found.difference(one, two), level) for one, two in itertools.combinations(values, 2))
    # Four standard errors of the count above what is promised.
    assert false <= FAMILY_LEVEL * sweeps + 4 * math.sqrt(FAMILY_LEVEL * sweeps)


def test_a_large_difference_is_told() -> None:
    chance = random.Random(3)
    values = by_pass([[speed * math.exp(chance.gauss(0, 0.01)) for _ in range(4)] for speed in (100, 100, 90, 80)])
    found = Comparisons(values, "higher")
    assert apart(found.difference(0, 3), pair_level(4))
    assert found.difference(3, 0).delta == pytest.approx(math.log(100 / 80), abs=0.03)


@given(table(3, 4))
def test_a_level_is_the_geometric_mean_inside_its_interval(values: list[list[float]]) -> None:
    for key, level in levels(by_pass(values), "lower").items():
        assert level.value == pytest.approx(math.exp(sum(map(math.log, values[key])) / 4))
        low, high = level.interval(0.05)
        assert low < level.value < high


def test_of_one_launch_nobody_knows_how_far_it_is_off() -> None:
    low, high = levels({1: {1: 100.0}}, "higher")[1].interval(0.05)
    assert low < 1e-9
    assert high > 1e9
