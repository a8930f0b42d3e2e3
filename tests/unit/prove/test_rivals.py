"""The rivals, on data whose answer is known by construction."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from tokgate.prove.nights import session_of
from tokgate.prove.rivals import compare_fail_median, mann_whitney, times_of, welch
from tokgate.session import Row, Session

pytestmark = pytest.mark.unit

MACHINE = {"id": "edge", "kind": "cpu"}
LAUNCHES = 1 + 0.001 * np.random.default_rng(1).standard_normal((2, 6, 10))


def session(number: int, seconds: NDArray[np.float64]) -> Session:
    """One row as a rate of 1 unit of work, one as a time."""
    rows = [
        Row(
            scenario="a.onnx.int8.b1.p5.o50",
            metric=metric,
            unit=unit,
            better=better,
            gated=True,
            launches=values.tolist(),
        )
        for metric, unit, better, values in (
            ("output_throughput", "tok/s", "higher", 1 / seconds[0]),
            ("ttft", "s", "lower", seconds[1]),
        )
    ]
    return session_of(number, rows, MACHINE)


@pytest.mark.parametrize("rival", [compare_fail_median, mann_whitney, welch])
def test_a_clear_slowdown_fires_and_an_equal_one_does_not(rival: object) -> None:
    slower = LAUNCHES * np.array([1.06, 1.0])[:, None, None]
    times = times_of(session(0, LAUNCHES), session(1, slower))
    assert times.fired(rival) == {("a.onnx.int8.b1.p5.o50", "output_throughput")}


@pytest.mark.parametrize("rival", [compare_fail_median, mann_whitney, welch])
def test_a_speedup_does_not_fire(rival: object) -> None:
    times = times_of(session(0, LAUNCHES), session(1, 0.9 * LAUNCHES))
    assert times.fired(rival) == set()


def test_compare_fail_looks_at_medians_beyond_5_percent() -> None:
    before = np.ones((2, 6, 10))
    now = before * np.array([1.0499, 1.0501])[:, None, None]
    assert compare_fail_median(before, now) == [False, True]


def test_mann_whitney_takes_iterations_for_independent() -> None:
    """All of one launch's iterations are slow together: 6 launches are 60 samples to it, and 6 to Welch's test."""
    rng = np.random.default_rng(2)
    before, now = (np.repeat(rng.normal(10, 1, (1, 6, 1)), 10, axis=2) for _ in range(2))
    now = now + 0.9
    assert mann_whitney(before, now) == [True]
    assert welch(before, now) == [False]


def test_the_level_is_split_over_the_rows() -> None:
    """A p of about 0.004 fires alone and not among 24 rows."""
    before = np.array([[9.0, 9.5, 10.0, 10.5, 11.0, 11.5]])[..., None]
    now = before + 1.75
    assert welch(before, now) == [True]
    many = [np.concatenate([rows, np.repeat(before, 23, axis=0)]) for rows in (before, now)]
    assert not any(welch(*many))


def test_only_gated_rows_that_both_have_are_compared() -> None:
    old, new = session(0, LAUNCHES), session(1, 2 * LAUNCHES)
    fewer = msgspec.structs.replace(old, rows=old.rows[:1])
    assert [metric for _, metric in times_of(fewer, new).keys] == ["output_throughput"]
    ungated = msgspec.structs.replace(new, rows=[msgspec.structs.replace(new.rows[0], gated=False), new.rows[1]])
    assert [metric for _, metric in times_of(old, ungated).keys] == ["ttft"]
