"""From launches to rows, and to faults: what is missing is never filled in."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tokgate.errors import MeasurementError
from tokgate.gate.limits import Limit, check_limits
from tokgate.launch import LaunchRecord, run_launch
from tokgate.metrics import Round, ServingRound
from tokgate.plan import PLAN_SCHEMA, LaunchPlan, PlanRow, Traffic
from tokgate.provenance import telemetry
from tokgate.result import GroupResult
from tokgate.samples import faults_of, left_out, rows_of
from tokgate.scenario import Group, Profile, Scenario
from tokgate.session import Session, validate

pytestmark = pytest.mark.unit

SCENARIO = Scenario(Group("tiny", "tiny-dummy", "onnx", "fp32"), 1, 5, 50)
PROFILE = Profile("quick", launches=2, rounds=2)

PLAN = LaunchPlan(PLAN_SCHEMA, "onnx", "/m", 100, {}, 1, 1, 0, 0, 0, (PlanRow(SCENARIO.id, 1, 5, 50),))


def round_event(**change: Any) -> dict[str, Any]:
    return {
        "event": "round", "scenario": SCENARIO.id, "round": 0, "total_s": 1.0, "prefill_s": 0.1, "prompt_tokens": 5,
        "output_tokens": 50, "peak_rss_bytes": 1, "use": {"own_cpu_s": 1.0}, "disturbed": None, "repeated": False,
        **change,
    }  # fmt: skip


def worker(folder: Path, event: dict[str, Any], then: str = "") -> str:
    """An interpreter that speaks the worker's protocol, whatever it is told to run."""
    python = folder / "python"
    done = {"event": "done", "total_s": 2.0, "measured_s": 1.0}
    python.write_text(
        f"#!{sys.executable}\nimport time\nprint({json.dumps(event)!r}, flush=True)\n{then}\n"
        f"print({json.dumps(done)!r}, flush=True)\n"
    )
    python.chmod(0o755)
    return str(python)


def record(*totals_s: float) -> LaunchRecord:
    rounds = [Round(50, 1, 0.1, total_s, 1.0, 2**20) for total_s in totals_s]
    return LaunchRecord(rounds={SCENARIO.id: rounds} if rounds else {})


def test_samples_keep_their_launch() -> None:
    rows = {row.metric: row for row in rows_of(SCENARIO, [record(2.0, 2.5), record(4.0, 5.0)])}
    assert rows["e2el"].launches == [[2.0, 2.5], [4.0, 5.0]]
    assert rows["output_throughput"].launches == [[25.0, 20.0], [12.5, 10.0]]
    assert {name for name, row in rows.items() if row.gated} == {"output_throughput", "ttft"}


def test_enough_samples_are_no_fault() -> None:
    assert faults_of(SCENARIO, [record(1, 1), record(1, 1)], PROFILE) == []


def test_fewer_samples_than_planned_are_a_fault_with_its_cause() -> None:
    disturbed = record(1)
    disturbed.causes[SCENARIO.id] = ["others took 40% of the 2 cores"]
    (fault,) = faults_of(SCENARIO, [record(1, 1), disturbed], PROFILE)
    assert "3 of 4" in fault
    assert "others took 40%" in fault


def test_a_launch_without_samples_is_left_out_and_is_a_fault() -> None:
    records = [record(1, 1), record()]
    assert len(rows_of(SCENARIO, records)[0].launches) == 1
    assert faults_of(SCENARIO, records, PROFILE)
    assert rows_of(SCENARIO, [record()]) == []


def with_energy(*energies_j: float | None) -> LaunchRecord:
    rounds = [Round(50, 1, 0.1, 1.0, 1.0, 2**20, energy_j=energy_j) for energy_j in energies_j]
    return LaunchRecord(rounds={SCENARIO.id: rounds})


@pytest.mark.parametrize(
    ("launches", "expected"),
    [
        ([(5.0, None), (None, 10.0)], [[0.1], [0.2]]),
        ([(None, 5.0), (None, None)], [[0.1]]),
        ([(None, None), (None, None)], None),
    ],
)
def test_a_metric_that_some_rounds_lack_has_the_values_of_the_others(launches, expected) -> None:
    rows = {row.metric: row for row in rows_of(SCENARIO, [with_energy(*launch) for launch in launches])}
    assert (rows["energy_per_token"].launches if "energy_per_token" in rows else None) == expected
    assert [len(launch) for launch in rows["e2el"].launches] == [2, 2]


SERVED = Scenario(Group("tiny", "tiny-dummy", "serve", "fp32"), 2, 5, 50, gated=("ttft",), traffic=Traffic(6))


def served(*goodputs: float) -> LaunchRecord:
    """As figures_of makes them: what is 0 is left out."""
    figures = [{"ttft": 1.0, "goodput": goodput} if goodput else {"ttft": 1.0} for goodput in goodputs]
    return LaunchRecord(rounds={SERVED.id: [ServingRound(each) for each in figures]})


@pytest.mark.parametrize(
    ("goodputs", "expected", "notes"),
    [
        ([(8.0, 7.0), (6.0, 8.0)], [[8.0, 7.0], [6.0, 8.0]], 0),
        ([(8.0, 0.0), (0.0, 0.0)], None, 1),
        ([(8.0, 7.0), (0.0, 0.0)], None, 1),
        ([(0.0, 0.0), (0.0, 0.0)], None, 0),
    ],
)
def test_rounds_whose_goodput_was_0_are_not_left_out_of_it(goodputs, expected, notes) -> None:
    """A row of the good rounds alone would be better than the server was; a limit on it is broken."""
    records = [served(*launch) for launch in goodputs]
    rows = rows_of(SERVED, records)
    assert {row.metric: row.launches for row in rows}.get("goodput") == expected
    session = Session(
        schema=1, id="s", started="2026-11-21T00:00:00+00:00", profile="quick", machine={"id": "m", "kind": "cpu"},
        software={}, valid=True, reasons=[], rows=rows,
    )  # fmt: skip
    (held,) = check_limits(validate(session), [Limit(SERVED.id, "goodput", "min", 5.0, "req/s", "the SLO")])
    assert held.broken is (expected is None)
    told = telemetry([GroupResult(SERVED.group, launches=records)])["groups"][SERVED.group.id].get("notes", [])
    assert len(told) == notes
    if notes:
        zero = sum(not goodput for launch in goodputs for goodput in launch)
        assert told[0].startswith(f"{SERVED.id}: goodput was 0 in {zero} of 4 rounds, so it has no row")


@pytest.mark.parametrize(
    ("metric", "why"), [("p99_itl", "the client was late itself"), ("ttft_overhead", "the server did not tell its own")]
)
@pytest.mark.parametrize(("values", "told"), [((2.0, 3.0), 0), ((2.0, None), 1), ((None, None), 0)])
def test_a_metric_of_some_rounds_alone_is_told_as_such(metric, why, values, told) -> None:
    """What is left of it may be of one round of many."""
    figures = [{"ttft": 1.0} if value is None else {"ttft": 1.0, metric: value} for value in values]
    records = [LaunchRecord(rounds={SERVED.id: [ServingRound(each) for each in figures]})]
    assert {row.metric for row in rows_of(SERVED, records)} == {"ttft"} | ({metric} if any(values) else set())
    notes = left_out(SERVED.group, records)
    assert len(notes) == told
    if told:
        assert notes[0].startswith(f"{SERVED.id}: {metric} is of 1 of 2 rounds alone: in the others {why}")


def test_a_gated_metric_that_a_round_lacks_is_a_fault() -> None:
    """It would have no row, or one of the other rounds alone, and nothing would say so."""
    gated = replace(SCENARIO, gated=("e2el", "energy_per_token"))
    assert faults_of(gated, [with_energy(5.0, 5.0), with_energy(5.0, 5.0)], PROFILE) == []
    (fault,) = faults_of(gated, [with_energy(5.0, None), with_energy(5.0, 5.0)], PROFILE)
    assert fault.startswith("1 of 4 rounds have no energy_per_token, which is gated")
    assert faults_of(SCENARIO, [with_energy(5.0, None), with_energy(5.0, 5.0)], PROFILE) == [], "it is not gated there"


def test_unequal_work_is_a_fault() -> None:
    short = record(1, 1)
    short.unequal[SCENARIO.id] = "the engine made 49 output tokens; planned were 50"
    assert "49" in faults_of(SCENARIO, [short, record(1, 1)], PROFILE)[0]


@pytest.mark.parametrize(
    ("output_tokens", "disturbed", "usable", "unequal"),
    [(50, None, 1, False), (49, None, 0, True), (50, "others took 70%", 0, False)],
)
def test_a_round_counts_if_its_work_was_equal_and_nothing_disturbed_it(
    tmp_path: Path, output_tokens: int, disturbed: str | None, usable: int, unequal: bool
) -> None:
    """Through a real child process that speaks the worker's protocol; its interpreter is a script."""
    event = round_event(output_tokens=output_tokens, disturbed=disturbed)
    heard: list[str] = []
    launch = run_launch(PLAN, worker(tmp_path, event), heard.append)
    assert heard == [SCENARIO.id]
    assert len(launch.rounds.get(SCENARIO.id, [])) == usable
    assert (SCENARIO.id in launch.unequal) is unequal


def test_what_the_engine_and_the_gpu_told_of_a_round_is_kept(tmp_path: Path) -> None:
    event = round_event(tpot_s=0.015, gpu={"memory_bytes": 2**36, "energy_j": 25.0}, counters={"num_preemptions": 1.0})
    launch = run_launch(PLAN, worker(tmp_path, event), lambda scenario: None)
    (sample,) = launch.rounds[SCENARIO.id]
    assert (sample.tpot_s, sample.gpu_peak_bytes, sample.energy_j) == (0.015, 2**36, 25.0)
    assert launch.events == [event]


def test_a_worker_that_hangs_ends_its_group_with_what_it_did_last(tmp_path: Path) -> None:
    python = worker(tmp_path, round_event(), then="time.sleep(600)")
    log = tmp_path / "launch.log"
    with pytest.raises(
        MeasurementError, match=r"the onnx worker failed: it reported nothing for 2 s after its event"
    ) as told:
        run_launch(replace(PLAN, silence_s=2.0), python, lambda scenario: None, log)
    assert str(log) in str(told.value)
    assert log.exists()
