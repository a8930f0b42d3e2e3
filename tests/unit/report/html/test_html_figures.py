"""Figures hold what was judged and measured, and tell verdicts apart without colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from nights import MODEL, accepted, judged, night, nights, round_event

from tokgate.gate.verdict import Verdict
from tokgate.report.html.data import SessionFacts
from tokgate.report.html.figures.base import MARKS
from tokgate.report.html.figures.forest import forest
from tokgate.report.html.figures.history import Night, history
from tokgate.report.html.figures.roofline import roofline
from tokgate.report.html.figures.runs import Runs, runs
from tokgate.report.html.figures.scaling import curves, legend, scaling
from tokgate.report.html.figures.spread import distribution, noise
from tokgate.report.html.figures.telemetry import telemetry

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def slower(tmp_path_factory: pytest.TempPathFactory) -> SessionFacts:
    """A sixth night on which one scenario of six is twice as slow."""
    root = accepted(nights(), tmp_path_factory.mktemp("store"))
    return judged(night("sixth", slower=1.0, day=6), root)


def trace(figure: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [trace for trace in figure["data"] if trace.get("name") == name]
    return found


def test_every_verdict_has_a_symbol_of_its_own() -> None:
    assert set(MARKS) == set(Verdict)
    assert len({mark.symbol for mark in MARKS.values()}) == len({mark.sign for mark in MARKS.values()}) == len(Verdict)


def test_a_forest_shows_the_interval_that_the_verdict_used(slower: SessionFacts) -> None:
    drawn = forest([row for row in slower.rows if row.row.gated])
    assert drawn is not None
    worse = trace(drawn, "REGRESSED")
    gated = [row.judged for row in slower.rows if row.judged and row.judged.gated]
    judged_rows = [row for row in gated if row.verdict is Verdict.REGRESSED]
    assert worse["x"] == [row.change_pct for row in judged_rows]
    assert len(worse["x"]) == 2, "throughput and TTFT of one scenario"
    for at, high, low, row in zip(
        worse["x"], worse["error_x"]["array"], worse["error_x"]["arrayminus"], judged_rows, strict=True
    ):
        assert row.ci_pct is not None
        assert (at - low, at + high) == pytest.approx(row.ci_pct)
    low, high = drawn["layout"]["xaxis"]["range"]
    assert low < 0 < max(worse["x"]) < high


def test_a_forest_marks_each_row_s_margin(slower: SessionFacts) -> None:
    rows = [row for row in slower.rows if row.row.gated]
    drawn = forest(rows)
    assert drawn is not None
    assert trace(drawn, "margin: a change that matters")["x"] == [20.0] * len(rows)


def test_without_a_baseline_there_is_no_forest(tmp_path: Path) -> None:
    assert forest(judged(night("first"), tmp_path).rows) is None


def test_no_two_rows_share_a_lane(slower: SessionFacts) -> None:
    rows = [row for row in slower.rows if row.row.gated]
    drawn = forest(rows)
    assert drawn is not None
    places = [y for trace in drawn["data"] if trace["name"] in list(Verdict) for y in trace["y"]]
    assert len(set(places)) == len(places) == len(rows)
    assert set(places) == set(drawn["layout"]["yaxis"]["tickvals"])


def test_a_distribution_shows_every_round(slower: SessionFacts) -> None:
    rows, tails = slower.of_metric("ttft"), slower.of_metric("p99_ttft")
    drawn = distribution(rows, tails)
    every = [value for row in rows for launch in row.row.launches for value in launch]
    assert sorted(trace(drawn, "rounds")["x"]) == sorted(every)
    assert trace(drawn, "judged value")["x"] == [row.value for row in rows]
    assert trace(drawn, "P99")["y"] == trace(drawn, "judged value")["y"]
    assert len(trace(drawn, "baseline")["x"]) == len(rows)


def test_noise_is_relative_and_right_is_worse_for_a_throughput_too(slower: SessionFacts) -> None:
    rows = slower.of_metric("output_throughput")
    row = msgspec.structs.replace(rows[0].row, launches=[[100.0], [50.0]])
    drawn = noise([type(rows[0])(row, rows[0].group, rows[0].label, rows[0].shape, 100.0, None)])
    (half,) = trace(drawn, "launch 2")["x"]
    assert half == pytest.approx(50.0)
    assert trace(drawn, "launch 1")["x"] == [0.0]


def test_curves_are_of_rows_that_differ_in_batch_alone(slower: SessionFacts) -> None:
    found = curves(slower.rows, "b")
    assert [list(curve.scenarios) for curve in found] == [[1, 4, 8], [1, 4, 8]]
    assert not curves(slower.rows, "c")
    speed = scaling(slower.rows, found, "b", "output_throughput")
    price = scaling(slower.rows, found, "b", "ttft")
    assert [line["line"]["color"] for line in speed["data"]] == [line["line"]["color"] for line in price["data"]]
    assert [key.color for key in legend(found)] == [line["line"]["color"] for line in speed["data"]]
    assert speed["data"][0]["x"] == [1, 4, 8]


def test_a_roofline_places_a_step_by_its_work_and_its_time(slower: SessionFacts) -> None:
    drawn = roofline(slower)
    assert drawn is not None
    limits = trace(drawn, "the machine's own limits, FP32")
    assert limits["y"][1:] == [100.0, 100.0], "1e11 FLOP/s, in GFLOP/s"
    decode = trace(drawn, "onnx.fp32 decode")
    tpots = [row.value for row in slower.of_metric("tpot") if "fp32" in row.group]
    assert decode["x"] == [1.0] * 3
    assert decode["y"] == pytest.approx([1.0 / seconds for seconds in tpots])


def test_telemetry_shows_disturbed_rounds_apart(tmp_path: Path) -> None:
    group, scenario = f"{MODEL}.onnx.fp32", f"{MODEL}.onnx.fp32.b1.p5.o50"
    rounds = [round_event(scenario), round_event(scenario, disturbed="others took 40%"), round_event(scenario)]
    session = msgspec.structs.replace(night("one"), telemetry={"groups": {group: {"launches": [{"rounds": rounds}]}}})
    facts = judged(session, tmp_path)
    drawn = telemetry(facts.rounds)
    assert drawn is not None
    disturbed = [trace for trace in drawn["data"] if "markers" in trace["mode"]]
    quiet = [trace for trace in drawn["data"] if "markers" not in trace["mode"]]
    assert all("others took 40%" in trace["text"][0] for trace in disturbed)
    assert [trace["x"][:3] for trace in disturbed] == [[2.0, 3.0, 4.0]] * 2
    assert [trace["y"][0] for trace in quiet] == [1.5, 0.05], "cores of the engine, and of others"


def test_a_gpu_s_rounds_show_its_use_power_and_clock(tmp_path: Path) -> None:
    group, scenario = f"{MODEL}.vllm.fp16", f"{MODEL}.vllm.fp16.b1.p5.o50"
    event = round_event(scenario, gpu={"utilization": 0.5, "power_w": 400.0, "sm_clock_mhz": 1980.0})
    session = msgspec.structs.replace(night("one"), telemetry={"groups": {group: {"launches": [{"rounds": [event]}]}}})
    drawn = telemetry(judged(session, tmp_path).rounds)
    assert drawn is not None
    assert [trace["y"][0] for trace in drawn["data"]] == [50.0, 400.0, 1980.0, 1.5, 0.05]
    assert len({trace["yaxis"] for trace in drawn["data"]}) == 5


def test_a_history_tells_accepted_measured_and_invalid_sessions_apart() -> None:
    told = [
        Night("a", "2026-11-01T00:00", "accepted", (1.0, 2.0)),
        Night("b", "2026-11-02T00:00", "measured", (3.0,)),
        Night("c", "2026-11-03T00:00", "invalid", (9.0,)),
    ]
    drawn = history(told, "s", "lower")
    dots = {trace["name"]: trace for trace in drawn["data"] if trace["mode"] == "markers"}
    assert {name: trace["y"] for name, trace in dots.items()} == {
        "accepted": [1.0, 2.0], "measured": [3.0], "not valid": [9.0],
    }  # fmt: skip
    assert len({trace["marker"]["symbol"] for trace in dots.values()}) == 3


def test_runs_stand_in_their_order_with_the_judged_value(slower: SessionFacts) -> None:
    first, second = slower.of_metric("e2el")[:2]
    drawn = runs([Runs("A", first), Runs("B", second)])
    assert trace(drawn, "A")["x"] == [1, 2, 3, 4, 5, 6]
    assert trace(drawn, "A")["y"] == [value for launch in first.row.launches for value in launch]
    dashed = [trace for trace in drawn["data"] if trace["line"].get("dash") == "dash"]
    assert [trace["y"][0] for trace in dashed] == [first.value, second.value]
