"""What the steps of a ladder gave: factors, intervals, and steps that were not measured or cannot be believed."""

from __future__ import annotations

import math
import random

import msgspec
import pytest
from climbs import GRAPH, INT4, LADDER, MODEL, PLAIN, climbed, row
from hypothesis import given
from hypothesis import strategies as st

from tokgate.errors import InputError
from tokgate.gate.change import change_between
from tokgate.gate.variance import NO_PRIOR
from tokgate.report.ladder import METRICS, climb
from tokgate.report.ladder_file import Step

pytestmark = pytest.mark.unit

values = st.floats(0.01, 1e4)
launches = st.lists(values, min_size=2, max_size=6)


@given(launches, st.floats(0.01, 100))
def test_a_step_that_is_n_times_as_fast_says_n_in_every_metric(speeds: list[float], times: float) -> None:
    """Whatever the metric's direction: a throughput that doubles and a time that halves are both 2."""
    session = climbed("s", {PLAIN: speeds, GRAPH: [speed * times for speed in speeds]})
    rung = climb(LADDER, [session]).rungs[1]
    for column in ("tok/s", "answer"):
        assert rung.before[column].factor == pytest.approx(times)
        assert rung.first[column] == rung.before[column]
    assert rung.before["memory"].factor == pytest.approx(1)


@given(launches, launches, launches)
def test_changes_against_the_step_before_make_the_change_against_the_first(
    plain: list[float], graph: list[float], four: list[float]
) -> None:
    count = min(map(len, (plain, graph, four)))
    steps = {PLAIN: plain[:count], GRAPH: graph[:count], INT4: four[:count]}
    rungs = climb(LADDER, [climbed("s", steps)]).rungs
    product = rungs[1].before["tok/s"].factor * rungs[2].before["tok/s"].factor
    assert product == pytest.approx(rungs[2].first["tok/s"].factor)
    assert rungs[0].before == rungs[0].first == {}


@given(launches, launches)
def test_an_interval_holds_its_factor_and_turns_with_the_direction(older: list[float], newer: list[float]) -> None:
    up = change_between(row("a", "ttft", older), row("b", "ttft", newer), NO_PRIOR)
    down = change_between(row("b", "ttft", newer), row("a", "ttft", older), NO_PRIOR)
    assert up.interval is not None
    assert down.interval is not None
    low, high = up.interval
    assert low < up.factor < high
    assert down.factor == pytest.approx(1 / up.factor)
    assert down.interval == pytest.approx((1 / high, 1 / low))


@given(launches, values)
def test_one_launch_cannot_tell_how_much_launches_differ(older: list[float], newer: float) -> None:
    change = change_between(row("a", "ttft", older), row("b", "ttft", [newer]), NO_PRIOR)
    assert change.interval is None
    assert change.factor == pytest.approx(older[0] / newer), "as many launches of each, the first ones"


@pytest.mark.parametrize("count", [2, 3, 6])
def test_intervals_hold_the_truth_as_often_as_they_say(count: int) -> None:
    """Launches that differ by 3%, one in ten up to a third slow: a ladder in which nothing changes."""
    noise = random.Random(20261121)

    def speed() -> float:
        slow = noise.uniform(0, 0.35) if noise.random() < 0.1 else 0.0
        return 10 * math.exp(noise.gauss(0, 0.03) - slow)

    held = tried = 0
    for _ in range(400):
        steps = {name: [speed() for _ in range(count)] for name in (PLAIN, GRAPH, INT4)}
        for rung in climb(LADDER, [climbed("s", steps)]).rungs[1:]:
            low, high = rung.before["tok/s"].interval or (0.0, 0.0)
            held += low <= 1 <= high
            tried += 1
    assert held / tried > 0.94


def test_a_step_that_was_not_measured_is_told_with_the_command_for_it() -> None:
    found = climb(LADDER, [climbed("s", {PLAIN: [1, 1], INT4: [4, 4]})])
    plain, graph, four = found.rungs
    assert (graph.standing, graph.why, graph.session) == ("not measured", ("measure it: measure graph",), "")
    assert not graph.rows
    assert not four.before, "nothing stands before it"
    assert four.first["tok/s"].factor == pytest.approx(4)
    assert four.accuracy is not None
    assert plain.value("tok/s") == 1
    assert set(plain.rows) == {"tok/s", "answer", "memory"} < set(METRICS)


@pytest.mark.parametrize(
    ("reason", "invalid"),
    [
        (f"{MODEL}.{GRAPH}: 3 of 6 planned rounds are usable; others took the cores", {1}),
        (f"{MODEL}.onnx.fp32: the worker failed", {1}),
        (f"{MODEL}.onnx.fp32 against transformers fp32: logits differ by up to 3", {1}),
        ("interrupted: only the launches that had ended are here", {0, 1}),
        (f"{MODEL}.genai.int4: its step genai failed", {2}),
        (f"{MODEL}.onnx.int8.b8.p5.o50: 1 of 6 planned rounds are usable", set()),
    ],
)
def test_what_makes_a_session_invalid_takes_the_steps_that_it_is_told_of(reason: str, invalid: set[int]) -> None:
    """A disturbed row does not hide the others; a reason that names none takes them all."""
    session = climbed("s", {PLAIN: [1, 1], GRAPH: [2, 2]}, valid=False, reasons=[reason])
    if invalid == {0, 1}:
        with pytest.raises(InputError, match=r"no step of the ladder was measured.*plain: interrupted"):
            climb(LADDER, [session])
        return
    rungs = climb(LADDER, [session]).rungs
    assert {place for place, rung in enumerate(rungs) if rung.standing == "INVALID"} == invalid
    for place in invalid:
        assert rungs[place].why == (reason, f"measure it: {LADDER.step[place].measure}")
        assert not rungs[place].rows, "figures that cannot be believed are not shown"


def test_the_newest_session_that_measured_a_step_validly_counts_and_a_newer_failure_is_told() -> None:
    old = climbed("old", {PLAIN: [1, 1], GRAPH: [2, 2]})
    new = climbed("new", {PLAIN: [3, 3]}, started="2026-11-02T03:00:00+00:00")
    bad = climbed("bad", {GRAPH: [9, 9]}, started="2026-11-03T03:00:00+00:00", valid=False,
                  reasons=[f"{MODEL}.{GRAPH}: disturbed"])  # fmt: skip
    found = climb(LADDER, [bad, old, new])
    plain, graph, _ = found.rungs
    assert (plain.session, graph.session) == ("new", "old")
    assert graph.why == (f"INVALID in the newer bad: {MODEL}.{GRAPH}: disturbed",)
    assert graph.value("tok/s") == 2
    assert any("Steps of 2 sessions" in note for note in found.notes)


def test_a_session_with_settings_that_its_ids_do_not_say_is_no_step_and_is_told() -> None:
    own = climbed("own", {PLAIN: [1, 1], GRAPH: [2, 2]})
    eager = climbed("eager", {PLAIN: [5, 5]}, started="2026-11-03T03:00:00+00:00", given={"enforce_eager": True})
    found = climb(LADDER, [own, eager])
    assert found.rungs[0].session == "own"
    assert found.notes[0].startswith("eager is left out: measured with enforce_eager=true")


def test_wrong_outputs_make_a_step_invalid_though_the_session_says_valid() -> None:
    session = climbed("s", {PLAIN: [1, 1], GRAPH: [2, 2]})
    wrong = [entry if "onnx" not in entry.group else type(entry)(**{**_fields(entry), "max_logit_diff": 5.0})
             for entry in session.accuracy]  # fmt: skip
    session.accuracy = wrong
    _, graph, _ = climb(LADDER, [session]).rungs
    assert graph.standing == "INVALID"
    assert "logits differ by up to 5" in graph.why[0]


def _fields(entry: object) -> dict[str, object]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__}


def test_sessions_of_other_machines_are_refused_by_name() -> None:
    here = climbed("here", {PLAIN: [1, 1]})
    there = climbed("there", {GRAPH: [1, 1]}, machine={"id": "edge-8c", "kind": "cpu"})
    with pytest.raises(InputError, match="sessions of 2: here of edge-2c, there of edge-8c"):
        climb(LADDER, [here, there])


def test_the_same_name_with_other_stable_facts_is_another_machine() -> None:
    here = climbed("here", {PLAIN: [1, 1]})
    grown = climbed("grown", {GRAPH: [1, 1]}, machine={"id": "edge-2c", "kind": "cpu", "stable": {"usable_cores": 4}})
    with pytest.raises(InputError, match="here and grown differ in usable_cores 2 -> 4"):
        climb(LADDER, [here, grown])


def test_sessions_of_several_models_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="several models: other, small-dummy"):
        climb(LADDER, [climbed("a", {PLAIN: [1, 1]}), climbed("b", {GRAPH: [1, 1]}, model="other")])


def test_sessions_without_a_step_are_refused_with_every_command() -> None:
    with pytest.raises(InputError, match=r"no step of the ladder.*measure plain; measure graph; measure four"):
        climb(LADDER, [climbed("a", {"onnx.fp32.b99.p5.o50": [1, 1]})])


def test_a_row_with_a_variant_or_another_shape_is_no_step() -> None:
    session = climbed("s", {PLAIN: [1, 1], "onnx.fp32.nospin.b1.p5.o50": [2, 2], "onnx.fp32.b1.p5.o5": [2, 2]})
    assert climb(LADDER, [session]).rungs[1].standing == "not measured"


@pytest.mark.parametrize(
    ("again", "added"),
    [
        ("pytest -m cpu --perf-profile=quick --perf-model=tiny '--perf-cache=/a b'",
         " --perf-profile=quick --perf-model=tiny '--perf-cache=/a b'"),
        ("pytest -m cpu --perf-model=tiny --perf-python=/other/python --perf-reference=/r --perf-pairs=5",
         " --perf-model=tiny"),
        ("pytest -m cpu", ""),
        ("tokgate ab --perf-model=tiny", ""),
        ("pytest -m cpu '--perf-model=tiny", ""),
        (None, ""),
    ],
)  # fmt: skip
def test_what_measures_a_missing_step_measures_the_same_model(again: str | None, added: str) -> None:
    """Or the next ladder would be refused for holding two models."""
    found = climbed("s", {PLAIN: [10, 10]}, provenance={} if again is None else {"again": again})
    assert climb(LADDER, [found]).rungs[1].why == (f"measure it: measure graph{added}",)


def test_a_steps_own_options_stay_as_they_are() -> None:
    step = Step("graph", GRAPH, "a graph", "pytest -m serving --perf-profile=nightly")
    found = climbed("s", {PLAIN: [10, 10]}, provenance={"again": "pytest -m cpu --perf-profile=quick --perf-model=m"})
    ladder = msgspec.structs.replace(LADDER, step=(LADDER.step[0], step))
    assert climb(ladder, [found]).rungs[1].why == (f"measure it: {step.measure} --perf-model=m",)
    with pytest.raises(InputError, match="Measure them: pytest -m serving --perf-profile=nightly --perf-model=m"):
        climb(msgspec.structs.replace(LADDER, step=(step, step)), [found])
