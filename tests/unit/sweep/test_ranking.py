"""The ranking: letters say exactly what cannot be told apart, and what breaks a constraint never wins."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sweep.examples import THROUGHPUT, TPOT, candidate, measured
from tokgate.sweep.constraints import Constraint, Holds, hold
from tokgate.sweep.estimates import levels
from tokgate.sweep.ranking import Lost, Status, apart, compare, pair_level, rank

pytestmark = pytest.mark.unit


def noisy(speeds: list[float], noise: float, seed: int, passes: int = 4) -> dict[int, list[float]]:
    chance = random.Random(seed)
    return {
        number: [speed * math.exp(chance.gauss(0, noise)) for _ in range(passes)]
        for number, speed in enumerate(speeds, 1)
    }


SPEEDS = st.lists(st.sampled_from([100.0, 99.0, 95.0, 90.0, 70.0]), min_size=2, max_size=7)
SEEDS = st.integers(0, 10**6)


@given(SPEEDS, st.sampled_from([0.001, 0.01, 0.05]), SEEDS)
def test_two_share_a_letter_exactly_where_they_cannot_be_told_apart(
    speeds: list[float], noise: float, seed: int
) -> None:
    found = measured(noisy(speeds, noise, seed))
    letters = {entry.measured.candidate.number: entry.letters for entry in rank(found, "output_throughput").entries}
    compared = compare(found, "output_throughput")
    for one, two in itertools.combinations(letters, 2):
        told = apart(compared.difference(one, two), pair_level(len(found)))
        assert bool(set(letters[one]) & set(letters[two])) is not told


@given(SPEEDS, st.sampled_from([0.001, 0.05]), SEEDS)
def test_the_order_is_that_of_the_values_and_the_status_that_of_the_interval(
    speeds: list[float], noise: float, seed: int
) -> None:
    entries = rank(measured(noisy(speeds, noise, seed)), "output_throughput").entries
    values = [entry.measured.levels["output_throughput"].value for entry in entries]
    assert values == sorted(values, reverse=True)
    assert entries[0].status is Status.BEST
    for entry in entries[1:]:
        assert entry.interval_pct is not None
        low, high = entry.interval_pct
        assert entry.behind_pct is not None
        assert low < entry.behind_pct < high
        assert (entry.status is Status.LEVEL) is (low <= 0 <= high)


@given(SPEEDS, st.floats(60, 110), SEEDS)
def test_what_breaks_a_constraint_is_last_and_never_the_best(speeds: list[float], limit: float, seed: int) -> None:
    constraint = Constraint(THROUGHPUT, "max", limit, f"{limit:g} tok/s")
    ranking = rank(measured(noisy(speeds, 0.005, seed), constraints=[constraint]), "output_throughput")
    holds = [entry.measured.holds for entry in ranking.entries]
    assert all(entry.status is Status.BREAKS for entry in ranking.entries if entry.measured.holds is Holds.BROKEN)
    assert holds == sorted(holds, key=lambda each: each is Holds.BROKEN)
    assert not any(entry.letters for entry in ranking.of(Status.BREAKS))
    if Holds.KEPT in holds:
        assert ranking.best is not None
        assert ranking.best.measured.holds is Holds.KEPT, "one that surely keeps it goes before one that may"
    assert (ranking.best is None) is (set(holds) == {Holds.BROKEN})


def test_what_is_lost_is_told_and_not_ranked() -> None:
    lost = Lost(candidate(9), Status.FAILED, "it crashed")
    ranking = rank(measured({1: [100, 101, 99], 2: [50, 51, 49]}), "output_throughput", [lost])
    assert [entry.measured.candidate.number for entry in ranking.entries] == [1, 2]
    assert ranking.lost == (lost,)


def test_nothing_measured_is_an_empty_ranking() -> None:
    ranking = rank([], "output_throughput", [Lost(candidate(1), Status.INVALID, "disturbed")])
    assert ranking.best is None
    assert not ranking.entries


def test_one_alone_is_the_best() -> None:
    ranking = rank(measured({1: [100, 101]}), "output_throughput")
    assert ranking.best is not None
    assert ranking.sees_pct is None


@pytest.mark.parametrize(
    ("values", "limit", "expected"),
    [
        ([0.020, 0.0201, 0.0199], 0.050, Holds.KEPT),
        ([0.060, 0.0601, 0.0599], 0.050, Holds.BROKEN),
        ([0.045, 0.055, 0.049], 0.050, Holds.OPEN),
        ([0.045, 0.055, 0.054], 0.050, Holds.OPEN),
        ([0.050, 0.050, 0.050], 0.050, Holds.KEPT),
    ],
)
def test_a_limit_is_kept_or_broken_where_the_interval_says_so(
    values: list[float], limit: float, expected: Holds
) -> None:
    constraint = Constraint(TPOT, "max", limit, f"{1e3 * limit:g} ms")
    level = levels({1: dict(enumerate(values))}, "lower")[1]
    held = hold(constraint, level, values)
    assert held.holds is expected
    assert held.why.startswith("tpot <= 50 ms: ")


def test_what_was_not_measured_is_not_kept() -> None:
    assert hold(Constraint(TPOT, "max", 0.05, "50 ms"), None, []).holds is Holds.BROKEN
