"""What more GPUs gave: speed-ups, their intervals, and what may not be compared."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scaled import BASE, LONG, SHORT, scaled

from tokgate.errors import InputError
from tokgate.gate.change import change_between, change_over_sessions, launch_prior
from tokgate.report.scaling import Scaling, scalings
from tokgate.session import Row, Session

pytestmark = pytest.mark.unit

launches = st.lists(st.floats(0.01, 1e5), min_size=2, max_size=5)


def one_table(*sessions: Session) -> Scaling:
    (table,) = scalings(sessions).tables
    return table


def speed_of(session: Session, shape: str) -> Row:
    return next(row for row in session.rows if row.metric == "output_throughput" and row.scenario.endswith(shape))


@given(launches, st.floats(0.1, 10))
def test_two_gpus_that_are_n_times_as_fast_say_n_and_half_of_it_as_efficiency(
    speeds: list[float], times: float
) -> None:
    table = one_table(scaled("a", 1, {SHORT: speeds}), scaled("b", 2, {SHORT: [speed * times for speed in speeds]}))
    (line,) = table.lines
    assert line.changes[2].factor == pytest.approx(times)
    assert table.efficiency(line, 2) == pytest.approx(times / 2)
    assert line.speeds[2] / line.speeds[1] == pytest.approx(times)
    assert line.tpots_s[1] / line.tpots_s[2] == pytest.approx(times)


def test_one_session_of_each_is_compared_by_launches_and_says_what_is_not_in_them() -> None:
    one = scaled("a", 1, {SHORT: [100, 101], LONG: [900, 910]})
    two = scaled("b", 2, {SHORT: [150, 152], LONG: [1500, 1530]})
    table = one_table(two, one)
    prior = launch_prior([speed_of(session, shape) for shape in (SHORT, LONG) for session in (one, two)])
    assert [line.label for line in table.lines] == [SHORT, LONG]
    for line in table.lines:
        assert line.changes[2] == change_between(speed_of(one, line.label), speed_of(two, line.label), prior)
        assert line.changes[2].interval is not None
    assert any("over their launches: how much hosts and nights differ" in note for note in table.notes)


def test_several_sessions_of_a_side_count_together_by_their_mean_and_the_interval_is_over_sessions() -> None:
    ones = [scaled(f"a{number}", 1, {SHORT: [speed, speed]}) for number, speed in enumerate((100, 104, 96))]
    twos = [scaled(f"b{number}", 2, {SHORT: [speed, speed]}) for number, speed in enumerate((150, 156))]
    table = one_table(*ones, *twos)
    (line,) = table.lines
    assert line.changes[2] == change_over_sessions([speed_of(each, SHORT) for each in ones],
                                                   [speed_of(each, SHORT) for each in twos])  # fmt: skip
    assert line.speeds[2] == pytest.approx((150 * 156) ** 0.5)
    assert line.changes[2].factor == pytest.approx(line.speeds[2] / line.speeds[1])
    assert [len(side) for side in table.sides.values()] == [3, 2]
    assert table.notes == ("Intervals over sessions, where one of the two sides has several.",)


def test_single_launches_have_no_interval_and_the_text_says_so() -> None:
    table = one_table(scaled("a", 1, {SHORT: [100]}), scaled("b", 2, {SHORT: [150]}))
    assert table.lines[0].changes[2].interval is None
    assert table.lines[0].changes[2].factor == pytest.approx(1.5)
    assert table.notes == ("Speed-ups without an interval: single launches cannot tell how much launches differ.",)


def test_single_launches_of_several_sessions_have_one() -> None:
    twos = [scaled(f"b{speed}", 2, {SHORT: [speed]}) for speed in (150, 151)]
    table = one_table(scaled("a", 1, {SHORT: [100]}), *twos)
    assert table.lines[0].changes[2].interval is not None
    assert not any("without an interval" in note for note in table.notes)


def test_without_a_single_gpu_the_fewest_there_are_what_others_are_held_against() -> None:
    table = one_table(scaled("b", 4, {SHORT: [150, 150]}), scaled("a", 2, {SHORT: [100, 100]}))
    assert table.fewest == 2
    assert list(table.lines[0].changes) == [4]
    assert table.efficiency(table.lines[0], 4) == pytest.approx(0.75)


def test_rows_that_the_fewest_gpus_or_they_alone_have_are_named_and_are_no_line() -> None:
    one = scaled("a", 1, {"b1.p1.o1": [9, 9], SHORT: [100, 100]})
    two = scaled("b", 2, {SHORT: [150, 150], LONG: [1500, 1500]})
    four = scaled("c", 4, {SHORT: [180, 180], LONG: [1800, 1800]})
    table = one_table(one, two, four)
    assert [line.label for line in table.lines] == [SHORT]
    assert set(table.lines[0].changes) == {2, 4}
    assert table.notes[-2:] == ("At TP 1 only: b1.p1.o1.", f"At TP 2 and TP 4 only: {LONG}.")


def test_a_row_that_the_most_gpus_lack_is_shown_as_far_as_it_goes() -> None:
    one, two = (scaled(name, gpus, {SHORT: [9, 9], LONG: [9, 9]}) for name, gpus in (("a", 1), ("b", 2)))
    table = one_table(one, two, scaled("c", 4, {SHORT: [20, 20]}))
    assert [set(line.changes) for line in table.lines] == [{2, 4}, {2}]


def test_groups_are_one_table_only_if_they_differ_in_nothing_but_tp() -> None:
    other = [scaled(name, gpus, {SHORT: [9, 9]}, base) for name, gpus, base in (
        ("int8", 2, "small-7b-dummy.vllm.int8"), ("eager", 1, f"{BASE}.eager"),
        ("served", 1, "small-7b-dummy.serve.fp16"),
    )]  # fmt: skip
    found = scalings([scaled("a", 1, {SHORT: [1, 1]}), scaled("b", 2, {SHORT: [2, 2]}), *other])
    assert [table.base for table in found.tables] == [BASE]
    assert found.told == (
        "Measured on one number of GPUs only: small-7b-dummy.vllm.int8 (TP 2), small-7b-dummy.vllm.fp16.eager (TP 1), "
        "small-7b-dummy.serve.fp16 (TP 1).",
    )


def test_variants_after_tp_are_found_again_without_it() -> None:
    one = scaled("a", 1, {SHORT: [1, 1]}, f"{BASE}.eager")
    two = msgspec.convert(
        msgspec.json.decode(msgspec.json.encode(scaled("b", 2, {SHORT: [2, 2]})).replace(b".tp2", b".tp2.eager")),
        Session,
    )
    assert one_table(one, two).base == f"{BASE}.eager"


def test_both_sides_of_one_session_are_compared_and_nothing_is_said_of_hosts() -> None:
    two = scaled("s", 2, {SHORT: [150, 151]})
    both = msgspec.structs.replace(two, rows=[*scaled("s", 1, {SHORT: [100, 101]}).rows, *two.rows])
    table = one_table(both)
    assert table.lines[0].changes[2].factor == pytest.approx(1.51 / 1.01, rel=1e-3)
    assert table.notes == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"software": {"vllm": "0.27.0"}}, "vllm 0.26.0 -> 0.27.0"),
        ({"software": {}}, "vllm 0.26.0 -> absent"),
        ({"profile": "smoke"}, "profile nightly -> smoke"),
        ({"gpu_name": "NVIDIA A10"}, "gpu_name NVIDIA T4 -> NVIDIA A10"),
        ({"power_limit_w": 70}, "power_limit_w absent -> 70"),
    ],
)
def test_what_was_measured_under_other_conditions_is_told_and_no_figure(changes: dict[str, Any], why: str) -> None:
    one, two = scaled("a", 1, {SHORT: [100, 100]}), scaled("b", 2, {SHORT: [150, 150]})
    other = scaled("other", 1, {SHORT: [50, 50]}, started="2026-11-09T03:00:00+00:00")
    if changes.keys() <= {"software", "profile"}:
        other = msgspec.structs.replace(other, **changes)
    else:
        other.machine["stable"].update(changes)
    found = scalings([other, one, two])
    assert len(found.tables) == 1
    assert found.tables[0].lines[0].speeds[1] == pytest.approx(100), "not the mean of it and the other's"
    assert found.told == (f"{BASE} at TP 1 of other is not compared with that of b: {why}.",)
    with pytest.raises(InputError, match=r"no row was measured on two numbers of GPUs") as refusal:
        scalings([other, two])
    assert f"at TP 2 of b is not compared with that of other: {why.split()[0]} " in str(refusal.value)
    assert str(refusal.value).count("is not compared") == 1


def test_both_sides_under_other_conditions_are_a_table_of_their_own() -> None:
    software = {"vllm": "0.27.0"}
    found = scalings([
        scaled("a", 1, {SHORT: [100, 100]}), scaled("b", 2, {SHORT: [150, 150]}),
        scaled("c", 1, {SHORT: [100, 100]}, software=software), scaled("d", 2, {SHORT: [180, 180]}, software=software),
    ])  # fmt: skip
    speed_ups = {table.conditions: table.lines[0].changes[2].factor for table in found.tables}
    assert speed_ups == {
        "NVIDIA T4, vllm 0.26.0, nightly": pytest.approx(1.5), "NVIDIA T4, vllm 0.27.0, nightly": pytest.approx(1.8),
    }  # fmt: skip
    assert found.told == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"given": {"enforce_eager": True}}, "measured with enforce_eager=true, which its ids do not say"),
        ({"valid": False, "reasons": ["throttled", "not alone"]}, "INVALID: throttled, and 1 more"),
        ({"machine": {"id": "edge-2c", "kind": "cpu"}}, "measured on a CPU, edge-2c"),
    ],
)
def test_sessions_that_cannot_be_used_are_left_out_with_the_reason(changes: dict[str, Any], why: str) -> None:
    one, two = scaled("a", 1, {SHORT: [100, 100]}), scaled("b", 2, {SHORT: [150, 150]})
    bad = scaled("bad", 1, {SHORT: [50, 50]}, **changes)
    found = scalings([one, bad, two])
    assert found.told == (f"bad is left out: {why}.",)
    assert found.tables[0].lines[0].speeds[1] == pytest.approx(100)
    with pytest.raises(InputError, match=rf"bad is left out: {why}\. Measured on one number of GPUs only: .*\(TP 2\)"):
        scalings([bad, two])


def test_machines_without_facts_are_told_by_their_ids() -> None:
    one = scaled("a", 1, {SHORT: [100, 100]}, machine={"id": "nvidia-t4", "kind": "gpu"})
    table = one_table(one, scaled("b", 2, {SHORT: [150, 150]}))
    assert table.conditions == "nvidia-t4, vllm 0.26.0, nightly"
    other = scaled("c", 2, {SHORT: [150, 150]}, machine={"id": "nvidia-a10-x2", "kind": "gpu"})
    with pytest.raises(InputError, match="machine nvidia-a10 -> nvidia-t4"):
        scalings([one, other])


def test_other_software_is_named_beside_the_table() -> None:
    one = scaled("a", 1, {SHORT: [100, 100]}, software={"vllm": "0.26.0", "torch": "2.11.0"})
    two = scaled("b", 2, {SHORT: [150, 150]}, software={"vllm": "0.26.0", "torch": "2.12.0"})
    assert "Not the same in all these sessions: torch 2.11.0, 2.12.0." in one_table(one, two).notes


def test_sides_without_a_row_in_common_are_refused() -> None:
    with pytest.raises(InputError, match="no tok/s of one row at TP 1 and TP 2"):
        scalings([scaled("a", 1, {SHORT: [1, 1]}), scaled("b", 2, {LONG: [1, 1]})])


def test_a_session_named_twice_is_refused_since_it_would_count_as_two_nights() -> None:
    one, two = scaled("a", 1, {SHORT: [100, 100]}), scaled("b", 2, {SHORT: [150, 150]})
    with pytest.raises(InputError, match="b: in several of the files"):
        scalings([one, two, two])
