"""The time left: by launches that have ended, whatever their rounds do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.report.timeleft import Estimate, left_text

pytestmark = pytest.mark.unit


def test_nothing_is_said_before_anything_has_ended() -> None:
    assert Estimate(3, 10, 100.0).left_s(130.0) is None


def test_the_first_launch_tells_by_its_rounds() -> None:
    """30 s for 5 of 30 rounds: 180 s in all."""
    estimate = Estimate(3, 10, 100.0)
    for number in range(5):
        estimate.round_ended(106.0 + 6 * number)
    assert estimate.left_s(130.0) == pytest.approx(150)
    assert estimate.left_s(140.0) == pytest.approx(140), "it goes down while a long round runs"


def test_ended_launches_tell_with_all_that_is_in_them() -> None:
    """Two of four took 100 s, loading included; the third has run for 30 s, and its quick rounds change nothing."""
    estimate = Estimate(4, 10, 0.0)
    estimate.launch_ended(90.0)
    estimate.launch_ended(200.0)
    for _ in range(9):
        estimate.round_ended(201.0)
    assert estimate.left_s(230.0) == pytest.approx(170)
    assert estimate.left_s(1000.0) == 0


@given(st.integers(1, 20), st.integers(1, 50), st.lists(st.booleans(), max_size=200))
def test_the_share_never_goes_back_and_is_whole_only_at_the_end(launches: int, rounds: int, ends: list[bool]) -> None:
    """However many rounds are repeated."""
    estimate = Estimate(launches, rounds, 0.0)
    seen, ended = [0.0], 0
    for launch_ended in ends:
        if launch_ended and ended < launches:
            for _ in range(rounds):
                estimate.round_ended(1.0)
            estimate.launch_ended(1.0)
            ended += 1
        elif ended < launches:
            estimate.round_ended(1.0)
        seen.append(estimate.share)
    assert seen == sorted(seen)
    assert seen[-1] <= 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-:-- left"), (7.4, "0:07 left"), (187.0, "3:07 left"), (3720.0, "1:02:00 left")]
)
def test_times_read_as_a_clock(seconds: float | None, text: str) -> None:
    assert left_text(seconds) == text
