"""Which launch is next: passes over all settings, and the same whatever kill came between."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sweep.examples import candidate, made
from tokgate.sweep.candidates import Candidate
from tokgate.sweep.schedule import left, next_launch, standings, time_left_s
from tokgate.sweep.store import Made

pytestmark = pytest.mark.unit

ALL = [candidate(number) for number in range(1, 5)]


def run(
    candidates: list[Candidate],
    launches: int,
    disturb: float = 0.0,
    fail: frozenset[int] = frozenset(),
    before: Sequence[Made] = (),
) -> list[Made]:
    """Every launch until the schedule has no more, after those of `before`; `fail`: settings whose launches fail."""
    chance = random.Random(1)
    done = list(before)
    while (step := next_launch(candidates, done, launches, 1, "seed")) is not None:
        assert len(done) < 500, "it must come to an end"
        bad = [each.number for each in step.candidates if chance.random() < disturb]
        failed = "it crashed" if fail & {each.number for each in step.candidates} else None
        more = {} if failed else {"disturbed": bad}
        done.append(made(len(done) + 1, step.pass_number, *step.candidates, failed=failed, **more))
    return done


def test_a_pass_has_one_launch_of_every_setting_in_an_order_of_its_own() -> None:
    done = run(ALL, 3)
    names = [(each.pass_number, each.scenarios) for each in done]
    passes = [[scenarios for number, scenarios in names if number == wanted] for wanted in (1, 2, 3)]
    assert [number for number, _ in names] == [1] * 4 + [2] * 4 + [3] * 4, "one pass after another"
    assert all(sorted(each) == sorted(passes[0]) for each in passes)
    assert len({tuple(each) for each in passes}) > 1


@given(st.integers(1, 4), st.floats(0, 1), st.integers(0, 30))
def test_it_goes_on_from_any_point_as_if_nothing_had_happened(launches: int, disturb: float, cut: int) -> None:
    """What is next depends on what was made alone: a killed sweep makes the launches that it would have made."""
    done = run(ALL, launches, disturb)
    for place in range(min(cut, len(done)), len(done)):
        step = next_launch(ALL, done[:place], launches, 1, "seed")
        assert step is not None
        assert tuple(each.scenario.id for each in step.candidates) == done[place].scenarios
    assert sum(left(ALL, done, launches, 1).values()) == 0


@given(st.integers(1, 5), st.floats(0, 1))
def test_disturbed_launches_are_made_again_and_a_busy_machine_is_given_up(launches: int, disturb: float) -> None:
    done = run(ALL, launches, disturb)
    for standing in standings(ALL, done, 1).values():
        assert len(standing.usable) == launches or len(standing.tried) == 2 * launches
        assert len(standing.usable) <= launches


@pytest.mark.parametrize("launches", [1, 3])
def test_a_setting_that_fails_twice_is_left_at_that_and_the_others_are_measured(launches: int) -> None:
    done = run(ALL, launches, fail=frozenset({2}))
    found = standings(ALL, done, 1)
    assert (found[2].failed, found[2].ruled_out, found[2].tried) == (True, "it crashed", {1, 2})
    assert str(found[2].failures) == "2 of 2 launches failed"
    assert all(len(found[number].usable) == launches for number in (1, 3, 4))
    assert found[1].failures is None


@pytest.mark.parametrize("launches", [1, 3])
def test_an_engine_that_dies_once_is_measured_all_the_same(launches: int) -> None:
    """In the later passes, and the launch that failed is told."""
    crashed = made(1, 1, ALL[1], failed="it crashed")
    done = run(ALL, launches, before=[crashed])
    found = standings(ALL, done, 1)[2]
    assert (found.failed, found.ruled_out) == (False, None)
    assert found.usable == list(range(2, launches + 2))
    assert str(found.failures) == f"1 of {launches + 1} launches failed"


def test_an_engine_that_dies_now_and_then_is_failed() -> None:
    done = [made(1, 1, ALL[1], failed="first"), made(2, 2, ALL[1]), made(3, 3, ALL[1], failed="second")]
    found = standings(ALL, done, 1)[2]
    assert (found.ruled_out, str(found.failures)) == ("second", "2 of 3 launches failed")
    assert not found.wants(4, 3)


def test_rows_of_one_group_share_a_launch() -> None:
    rows = [candidate(1, "same", 1), candidate(2, "same", 4), candidate(3)]
    assert len(run(rows, 2)) == 4


def test_where_a_shared_launch_fails_each_row_has_launches_of_its_own() -> None:
    """One row may have taken the other with it, as a batch that exceeds the memory does."""
    rows = [candidate(1, "same", 1), candidate(2, "same", 64), candidate(3)]
    found = standings(rows, run(rows, 2, fail=frozenset({2})), 1)
    assert len(found[1].usable) == 2
    assert str(found[1].failures) == "1 of 3 launches failed"
    assert found[2].failed
    assert len(found[2].died) == 2, "what it shared rules out none"
    assert str(found[2].failures) == "3 of 3 launches failed"


def test_wrong_work_is_not_made_again() -> None:
    first = made(1, 1, ALL[0])
    assert first.record is not None
    first.record.unequal[ALL[0].scenario.id] = "3 of 200 requests failed"
    standing = standings(ALL, [first], 1)[1]
    assert standing.ruled_out == "3 of 200 requests failed"
    assert not standing.failed


def test_the_time_left_is_that_of_launches_like_it() -> None:
    groups = {each.scenario.id: each.scenario.group.id for each in ALL}
    assert time_left_s({"a": 1}, [], groups) is None
    counts = left(ALL, [made(1, 1, ALL[0])], 2, 1)
    assert sum(counts.values()) == 7
    assert time_left_s(counts, [made(1, 1, ALL[0])], groups) == pytest.approx(70.0)


def test_more_launches_than_before_are_further_passes() -> None:
    done = run(ALL, 2)
    assert sum(left(ALL, done, 4, 1).values()) == 8
    step = next_launch(ALL, done, 4, 1, "seed")
    assert step is not None
    assert step.pass_number == 3
