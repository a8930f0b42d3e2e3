from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.gate.comparison import Comparison
from tokgate.gate.defaults import Thresholds
from tokgate.gate.ruling import Levels, is_suspect, rule_stored
from tokgate.gate.scale import delta_of
from tokgate.gate.verdict import Verdict

pytestmark = pytest.mark.unit

LEVELS = Levels()
GPU = Thresholds(1, 6)
ORDER = [Verdict.IMPROVED, Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.REGRESSED]


def seen(change_pct, sd=0.005, better="higher", sessions=10, df=30.0, slowest=0.0):
    return Comparison(0.0, delta_of(change_pct, better), sessions, sd, df, slowest)


def verdict(comparison, better="higher", thresholds=GPU):
    return rule_stored(comparison, better, thresholds, LEVELS.of_row(24), LEVELS).verdict


@pytest.mark.parametrize(
    ("change_pct", "expected"),
    [(-8, "IMPROVED"), (0, "PASS"), (2, "PASS"), (8, "REGRESSED")],
)
@pytest.mark.parametrize("better", ["higher", "lower"])
def test_clear_changes_get_clear_verdicts_in_both_directions(change_pct, expected, better):
    assert verdict(seen(change_pct, better=better), better).value == expected


def test_noise_beyond_the_margin_is_inconclusive():
    assert verdict(seen(3, sd=0.03)) is Verdict.INCONCLUSIVE


def test_the_level_of_the_night_is_split_over_the_rows_and_the_suite():
    assert LEVELS.of_row(24) == pytest.approx(0.01 / 25)


@given(
    st.floats(-60, 60),
    st.floats(0, 30),
    st.floats(1e-4, 0.1),
    st.floats(1, 100),
    st.sampled_from(["higher", "lower"]),
    st.integers(1, 6),
)
def test_slower_is_never_judged_better(change_pct, more, sd, df, better, sessions):
    first = verdict(seen(change_pct, sd, better, sessions, df), better)
    second = verdict(seen(min(change_pct + more, 95), sd, better, sessions, df), better)
    assert ORDER.index(second) >= ORDER.index(first)


@given(st.floats(-60, 60), st.floats(1e-4, 0.1), st.floats(1, 100), st.sampled_from(["higher", "lower"]))
def test_the_printed_bounds_are_those_that_decided(change_pct, sd, df, better):
    ruling = rule_stored(seen(change_pct, sd, better, df=df), better, GPU, LEVELS.of_row(24), LEVELS)
    low, high = ruling.ci_pct
    assert low <= high
    assert (ruling.verdict is Verdict.REGRESSED) == (low > GPU.tolerance_pct)
    if ruling.verdict is Verdict.IMPROVED:
        assert high < -GPU.tolerance_pct
    elif ruling.verdict is Verdict.PASS:
        assert high < GPU.margin_pct
    elif ruling.verdict is Verdict.INCONCLUSIVE:
        assert high >= GPU.margin_pct


@given(st.floats(-60, 60), st.floats(1e-4, 0.1), st.floats(1, 100), st.integers(1, 6))
def test_what_is_regressed_was_suspect(change_pct, sd, df, sessions):
    """The screen is the weaker test, so fresh launches as slow as the first never clear a REGRESSED row."""
    comparison = seen(change_pct, sd, df=df, sessions=sessions)
    if verdict(comparison) is Verdict.REGRESSED:
        assert is_suspect(comparison, "higher", GPU, LEVELS)


@pytest.mark.parametrize(("change_pct", "expected"), [(24, "INCONCLUSIVE"), (26, "REGRESSED"), (-50, "INCONCLUSIVE")])
def test_one_accepted_session_fails_only_what_is_beyond_25_percent(change_pct, expected):
    comparison = seen(change_pct, sessions=1)
    assert verdict(comparison).value == expected
    assert is_suspect(comparison, "higher", GPU, LEVELS) is (change_pct > 12.5)


@pytest.mark.parametrize("better", ["higher", "lower"])
@pytest.mark.parametrize(
    ("sessions", "change_pct", "slowest_pct", "expected"),
    [(2, 24, 0, "INCONCLUSIVE"), (2, 26, 0, "REGRESSED"), (4, 26, 0, "REGRESSED"),
     (4, 26, 5, "INCONCLUSIVE"), (4, 45, 5, "REGRESSED"), (5, 26, 0, "INCONCLUSIVE")],
)  # fmt: skip
def test_a_second_session_takes_nothing_from_what_the_first_one_caught(
    sessions, change_pct, slowest_pct, expected, better
):
    """Of two to four an interval may hold anything: what is far slower than each of them is no noise."""
    blind = seen(change_pct, 0.5, better, sessions, 1.0, delta_of(slowest_pct, better))
    assert verdict(blind, better).value == expected
