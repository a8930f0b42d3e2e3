"""A change over sessions: its factor is that of the means, and its interval is as wide as sessions differ."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.gate.change import change_over_sessions
from tokgate.gate.comparison import compare_values
from tokgate.gate.variance import NO_PRIOR
from tokgate.session import Better, Row

pytestmark = pytest.mark.unit

values = st.floats(0.01, 1e4)


def row(launches: list[float], better: Better = "higher") -> Row:
    return Row(scenario="a", metric="m", unit="u", better=better, gated=True, launches=[[value] for value in launches])


@given(st.lists(values, min_size=2, max_size=5), values)
def test_one_session_against_several_is_judged_as_the_gate_compares_it(older: list[float], newer: float) -> None:
    """The same difference and standard error as of a new session against the accepted ones."""
    found = change_over_sessions([row([value]) for value in older], [row([newer])])
    judged = compare_values(-math.log(newer), [-math.log(value) for value in older], NO_PRIOR)
    assert found.delta == pytest.approx(judged.delta, abs=1e-9)
    assert found.standard_error == pytest.approx(judged.standard_error)
    assert found.df == judged.df == len(older) - 1


@given(st.lists(values, min_size=2, max_size=4), st.lists(values, min_size=1, max_size=4))
def test_turned_about_it_is_the_inverse(older: list[float], newer: list[float]) -> None:
    ones, others = [row([value]) for value in older], [row([value]) for value in newer]
    up, down = change_over_sessions(ones, others), change_over_sessions(others, ones)
    assert up.delta == pytest.approx(-down.delta, abs=1e-9)
    assert up.standard_error == pytest.approx(down.standard_error)


def test_a_time_that_halves_is_twice_as_good() -> None:
    found = change_over_sessions(
        [row([2.0], "lower"), row([2.1], "lower")], [row([1.0], "lower"), row([1.05], "lower")]
    )
    assert found.factor == pytest.approx(2)


def test_sessions_count_with_as_many_launches_as_the_shortest_has() -> None:
    """The best half of three launches is faster than one, with nothing changed."""
    found = change_over_sessions([row([100, 130, 130]), row([100, 130, 130])], [row([100])])
    assert found.factor == pytest.approx(1)


def test_values_that_nothing_can_be_told_of_are_no_error() -> None:
    """A file made by hand may hold any value above 0."""
    found = change_over_sessions([row([1e-300]), row([1e300])], [row([1e300])])
    assert found.interval is not None
    assert found.interval[0] < found.factor < found.interval[1] < math.inf


@pytest.mark.parametrize(("older", "newer"), [(6, 2), (2, 2), (1, 3), (2, 1)])
def test_intervals_hold_the_truth_as_often_as_they_say(older: int, newer: int) -> None:
    """Hosts that differ by 1.6% and launches by 0.3%, with nothing gained: by launches they would hold it rarely."""
    noise = random.Random(20261122)

    def measured() -> Row:
        host = noise.gauss(0, 0.016)
        return row([100 * math.exp(host + noise.gauss(0, 0.003)) for _ in range(2)])

    held = 0
    for _ in range(1000):
        interval = change_over_sessions([measured() for _ in range(older)], [measured() for _ in range(newer)]).interval
        assert interval is not None
        held += interval[0] <= 1 <= interval[1]
    assert 0.93 < held / 1000 < 0.97
