"""The front: what no other beats in both, and beside it what is not surely beaten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sweep.examples import measured
from tokgate.sweep.pareto import front

pytestmark = pytest.mark.unit

POINTS = st.lists(st.tuples(st.integers(50, 60), st.integers(10, 20)), min_size=1, max_size=8)


@given(POINTS)
def test_the_front_is_what_no_other_beats(points: list[tuple[int, int]]) -> None:
    """Held against the definition, point by point; TPOTs in ms."""
    speeds = {number: [float(speed)] * 3 for number, (speed, _) in enumerate(points, 1)}
    tpots = {number: [tpot / 1e3] * 3 for number, (_, tpot) in enumerate(points, 1)}
    found = front(measured(speeds, tpots))
    for number, (speed, tpot) in enumerate(points, 1):
        beaten = any(
            (other_speed >= speed and other_tpot <= tpot) and (other_speed, other_tpot) != (speed, tpot)
            for other_speed, other_tpot in points
        )
        assert (number in found.on) is not beaten
    assert found.on, "someone is always on it"
    assert not found.on & found.perhaps


def test_one_that_is_behind_by_less_than_the_noise_is_perhaps_on_it() -> None:
    speeds = {1: [100.0, 104.0, 97.0], 2: [99.0, 101.0, 98.0], 3: [50.0, 51.0, 49.5]}
    found = front(measured(speeds))
    assert found.on == {1}
    assert found.perhaps == {2}
    assert [found.sign(number) for number in (1, 2, 3)] == ["*", "(*)", ""]


def test_without_a_tpot_there_is_no_front() -> None:
    found = measured({1: [100.0, 101.0], 2: [90.0, 91.0]})
    for each in found:
        del each.values["tpot"]
    assert not front(found).on
