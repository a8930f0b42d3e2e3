from __future__ import annotations

import pytest

from gate.examples import make_row, make_session, scenario
from tokgate.errors import InputError
from tokgate.gate.limits import Limit, check_limits, parse_limits

pytestmark = pytest.mark.unit

FLOOR = {
    "scenario": scenario(0),
    "metric": "output_throughput",
    "min": 3332,
    "unit": "tok/s",
    "source": "published floor",
}


def limits(**changes):
    return parse_limits({"limit": [{**FLOOR, **changes}]}, "limits.toml")


@pytest.mark.parametrize(("value", "broken"), [(3331.9, True), (3332.0, False), (3332.1, False)])
def test_a_floor_is_met_at_its_value_and_broken_below(value, broken):
    (found,) = check_limits(make_session(0, [make_row([[value]])]), limits())
    assert found.broken is broken
    assert found.value == value
    assert "published floor" in found.why


@pytest.mark.parametrize(("seconds", "broken"), [(0.0499, False), (0.05, False), (0.0501, True)])
def test_a_ceiling_in_milliseconds_holds_a_row_in_seconds(seconds, broken):
    row = make_row([[seconds]], metric="p99_tpot", unit="s", better="lower")
    ceiling = Limit(row.scenario, "p99_tpot", "max", 50.0, "ms", "SLO")
    (found,) = check_limits(make_session(0, [row]), [ceiling])
    assert found.broken is broken
    assert found.value == pytest.approx(seconds * 1000)


def test_several_launches_that_all_meet_a_floor_exactly_keep_it():
    (found,) = check_limits(make_session(0, [make_row([[3332.0]] * 6)]), limits())
    assert not found.broken


def test_a_metric_that_was_not_measured_breaks_its_limit():
    (found,) = check_limits(make_session(0, [make_row([[1]], metric="ttft")]), limits())
    assert found.broken
    assert found.value is None


def test_a_scenario_that_was_not_measured_is_not_held():
    assert check_limits(make_session(0, [make_row([[1]], scenario=scenario(5))]), limits()) == []


def test_units_that_do_not_convert_are_refused():
    with pytest.raises(InputError, match="'tok/s'"):
        check_limits(make_session(0, [make_row([[1]])]), limits(unit="req/s"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrc": "ttft"}, "did you mean 'metric'"),
        ({"max": 5}, "one of min and max"),
        ({"source": " "}, "source"),
        ({"unit": 3}, "unit"),
        ({"min": "fast"}, "expected a number"),
        ({"min": True}, "expected a number"),
        ({"scenario": "../etc"}, "scenario"),
    ],
)
def test_a_faulty_limit_is_refused_by_name(changes, message):
    with pytest.raises(InputError, match=message):
        limits(**changes)


def test_neither_bound_nor_a_second_table_name_passes():
    without = {key: value for key, value in FLOOR.items() if key != "min"}
    with pytest.raises(InputError, match="neither"):
        parse_limits({"limit": [without]}, "limits.toml")
    with pytest.raises(InputError, match="did you mean 'limit'"):
        parse_limits({"limits": [FLOOR]}, "limits.toml")
    with pytest.raises(InputError, match="twice"):
        parse_limits({"limit": [FLOOR, FLOOR]}, "limits.toml")
    with pytest.raises(InputError, match=r"\[\[limit\]\]"):
        parse_limits({"limit": FLOOR}, "limits.toml")
