"""How far two load clients are apart, by rounds that both measured."""

from __future__ import annotations

import math
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tokgate.serving.agreement import Agreement
from tokgate.session import Better, Row

pytestmark = pytest.mark.unit

# Levels of three rounds by three servers: 40% apart, on both sides of every pair.
LEVELS = [[0.8, 1.0, 1.1], [1.0, 1.05, 0.9], [1.2, 1.1, 1.0]]


def row(metric: str, launches: list[list[float]], better: Better = "lower") -> Row:
    return Row(scenario="s", metric=metric, unit="s", better=better, gated=False, launches=launches)


def agreement(ours: list[list[float]], theirs: list[list[float]], better: Better = "lower") -> Agreement:
    return Agreement.of(row("mean_ttft", ours, better), row("vllm_bench_mean_ttft", theirs, better))


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_what_the_server_is_at_is_on_both_sides_of_a_pair(better: Better) -> None:
    """Levels that differ by half hide no 2%: as two rows, with an interval over launches, they would."""
    ours = [[1.02 * level for level in launch] for launch in LEVELS]
    found = agreement(ours, LEVELS, better)
    low, high = sorted(found.change.interval or ())
    expected = 1.02 if better == "higher" else 1 / 1.02
    assert low < expected < high
    assert high - low < 0.001
    assert found.ours / found.theirs == pytest.approx(1.02)


def test_of_few_pairs_the_interval_is_students_of_the_log_ratios() -> None:
    ratios = [1.01, 0.97, 1.04, 1.02]
    logs = [math.log(ratio) for ratio in ratios]
    expected = stats.t.interval(0.95, 3, loc=sum(logs) / 4, scale=stats.sem(logs))
    found = agreement([ratios[:2], ratios[2:]], [[1.0, 1.0], [1.0, 1.0]], "higher")
    assert [math.log(bound) for bound in found.change.interval or ()] == pytest.approx(list(expected))


def test_one_round_of_many_that_something_else_slowed_decides_nothing() -> None:
    ours = [list(launch) for launch in LEVELS]
    ours[1][1] *= 3
    low, high = sorted(agreement(ours, LEVELS).change.interval or ())
    assert 0.999 < low < high < 1.001


def test_a_single_round_has_no_interval() -> None:
    found = agreement([[1.1]], [[1.0]], "higher")
    assert found.change.interval is None
    assert found.change.factor == pytest.approx(1.1)


def test_rounds_that_one_client_did_not_measure_leave_no_pairs() -> None:
    """Nothing says which one it was: the values after it would be paired with those of other minutes."""
    with pytest.raises(
        ValueError, match=r"mean_ttft is of \[2, 1\] rounds by launch, vllm_bench_mean_ttft of \[2, 2\]"
    ):
        agreement([[1.0, 1.0], [1.0]], [[1.0, 1.0], [1.0, 1.0]])


@given(st.lists(st.lists(st.floats(0.5, 2.0), min_size=1, max_size=4), min_size=1, max_size=4))
def test_pairs_keep_their_rounds(ours: list[list[float]]) -> None:
    theirs = [[1.0 + number for number, _ in enumerate(launch)] for launch in ours]
    expected = [one / other for one, other in zip(chain(*ours), chain(*theirs), strict=True)]
    assert agreement(ours, theirs).ratios == pytest.approx(expected)
