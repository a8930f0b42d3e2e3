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
        ({"reference": 5}, "one of min and max"),
        ({"weight": 0}, "weight is 0"),
        ({"weight": 101}, "weight is 101"),
        ({"weight": "40"}, "expected a number"),
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


def test_a_reference_is_shown_and_never_broken():
    reference = {"scenario": scenario(0), "metric": "mean_ttft", "reference": 406, "unit": "ms", "source": "a guide"}
    limit = parse_limits({"limit": [reference]}, "limits.toml")
    row = make_row([[99.0]], metric="mean_ttft", unit="s", better="lower")
    (found,) = check_limits(make_session(0, [row]), limit)
    assert not found.broken
    assert (found.value, found.bound) == (pytest.approx(99000), "reference")
    (missing,) = check_limits(make_session(0, [make_row([[1]])]), limit)
    assert not missing.broken
    assert missing.value is None


def test_a_weight_reaches_the_verdict():
    (found,) = check_limits(make_session(0, [make_row([[4000]])]), limits(weight=40))
    assert found.weight_pct == 40
    (plain,) = check_limits(make_session(0, [make_row([[4000]])]), limits())
    assert plain.weight_pct is None


def test_a_reference_has_no_weight_and_weights_sum_to_100_at_most():
    reference = {key: value for key, value in FLOOR.items() if key != "min"} | {"reference": 1, "weight": 5}
    with pytest.raises(InputError, match="a reference cannot be kept"):
        parse_limits({"limit": [reference]}, "limits.toml")
    heavy = [{**FLOOR, "metric": metric, "weight": 60} for metric in ("a", "b")]
    with pytest.raises(InputError, match="sum to 120"):
        parse_limits({"limit": heavy}, "limits.toml")


def test_a_broken_limit_names_its_metric():
    (found,) = check_limits(make_session(0, [make_row([[1]])]), limits())
    assert found.why.startswith("output_throughput 1 tok/s breaks the limit min 3332 tok/s")


def test_workload_tables_stand_beside_limits():
    assert len(parse_limits({"limit": [FLOOR], "workload": [{}]}, "limits.toml")) == 1
