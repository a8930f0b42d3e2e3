"""What a worker does beside the engine: peaks and counters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tokgate import worker
from tokgate.engines import Generation
from tokgate.machine.watch import Watched
from tokgate.plan import PLAN_SCHEMA, Asked, LaunchPlan, PlanRow
from tokgate.worker import Launch

pytestmark = pytest.mark.unit

ROW = PlanRow("s", batch=2, prompt_len=5, output_len=4)


class Quiet:
    """A watch that sees nothing, and says what it is told to."""

    def __init__(self, *disturbed: str | None) -> None:
        self.disturbed = list(disturbed)

    def settle(self) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> Watched:
        return Watched({"gpu": {"energy_j": 7.0}}, self.disturbed.pop(0) if self.disturbed else None)


class Engine:
    """Knows its TPOT, and preempts once a call."""

    preempted = 0.0

    def generate(self, prompts: NDArray[np.int64], output_len: int) -> Generation:
        self.preempted += 1
        return Generation(np.ones((len(prompts), output_len), np.int64), 0.1, 1.0, tpot_s=0.2)

    def counters(self) -> dict[str, float]:
        return {"num_preemptions": self.preempted}

    def kv_cache(self) -> dict[str, int | None]:
        return {"peak_blocks": 3, "blocks": 8, "block_tokens": 16}


def launch(events: list[dict[str, Any]], watch: Quiet | None = None, **change: Any) -> Launch:
    plan = {
        "schema": PLAN_SCHEMA, "engine": "onnx", "model_dir": "", "vocab_size": 10, "settings": {}, "threads": 2,
        "rounds": 1, "repeats": 1, "order_seed": 0, "prompt_seed": 0, "rows": (ROW,), **change,
    }  # fmt: skip
    return Launch(LaunchPlan(**plan), events.append, watch or Quiet())


def test_each_row_is_asked_for_as_it_says():
    """Warmed up too. An engine that only decodes greedily is told nothing of it."""
    asked: list[dict[str, Any]] = []

    class Telling(Engine):
        def generate(self, prompts: NDArray[np.int64], output_len: int, **keywords: Any) -> Generation:
            asked.append(keywords)
            return super().generate(prompts, output_len)

    drawn = replace(ROW, scenario="sampled", asked=Asked(sampling={"temperature": 1.0}))
    made = launch([], rows=(ROW, drawn))
    made._engine = Telling()
    made._warm_up()
    made._measure(0, drawn)
    assert asked == [{}, {"sampling": {"temperature": 1.0}}, {"sampling": {"temperature": 1.0}}]


@pytest.fixture
def peaks(monkeypatch):
    monkeypatch.setattr(worker, "measured_peaks", lambda threads: {"read_bytes_s": 1e9 * threads, "flop_s": 1e11})
    monkeypatch.setattr(worker, "measured_gpu_peaks", lambda gpus: {"read_bytes_s": 4e12 * gpus, "flop_s": 7e14})


def test_peaks_are_an_event_of_their_own(peaks):
    events: list[dict[str, Any]] = []
    launch(events)._measure_peaks()
    assert events == [{"event": "peaks", "read_bytes_s": 2e9, "flop_s": 1e11}]


def test_what_runs_on_gpus_is_held_against_theirs(peaks):
    events: list[dict[str, Any]] = []
    launch(events, device="gpu", gpus=2)._measure_peaks()
    assert events == [{"event": "peaks", "read_bytes_s": 8e12, "flop_s": 7e14}]


def test_peaks_that_were_not_asked_for_are_not_measured(peaks):
    events: list[dict[str, Any]] = []
    launch(events, measure_peaks=False)._measure_peaks()
    assert events == []


@pytest.mark.parametrize("error", [MemoryError("none left"), RuntimeError("it ended"), OSError("no such program")])
def test_a_probe_that_fails_is_no_failure_of_the_launch(monkeypatch, capsys, error):
    def fail(threads: int) -> dict[str, float]:
        raise error

    events: list[dict[str, Any]] = []
    monkeypatch.setattr(worker, "measured_peaks", fail)
    launch(events)._measure_peaks()
    assert events == []
    assert str(error) in capsys.readouterr().err


def test_what_the_engine_compiled_anew_comes_with_its_loading(monkeypatch, peaks):
    events: list[dict[str, Any]] = []
    engine = type("E", (Engine,), {"describe": lambda self: {}, "compiled": lambda self: {"flashinfer": 2}})
    made = launch(events, rows=())
    monkeypatch.setattr(worker.engines, "load", lambda *args: engine())
    monkeypatch.setattr(made, "_check_accuracy", lambda: None)
    monkeypatch.setattr(worker.gc, "freeze", lambda: None)
    made.run()
    (loaded,) = [event for event in events if event["event"] == "loaded"]
    assert loaded["compiled"] == {"flashinfer": 2}


@pytest.mark.parametrize(("device", "order"), [("cpu", ["loaded", "peaks"]), ("gpu", ["peaks", "loaded"])])
def test_a_gpu_is_probed_before_the_engine_takes_its_memory(monkeypatch, peaks, device, order):
    events: list[dict[str, Any]] = []
    made = launch(events, device=device, rows=())
    monkeypatch.setattr(worker.engines, "load", lambda *args: type("E", (Engine,), {"describe": lambda self: {}})())
    monkeypatch.setattr(made, "_check_accuracy", lambda: None)
    monkeypatch.setattr(worker.gc, "freeze", lambda: None)
    made.run()
    assert [event["event"] for event in events if event["event"] != "done"] == order


def test_one_in_turn_waits_before_it_touches_the_device_and_before_its_first_round(monkeypatch, peaks):
    events: list[dict[str, Any]] = []
    plan = launch(events, device="gpu", in_turn=True)._plan
    monkeypatch.setattr(worker, "await_parent", lambda: events.append({"event": "awaited"}))
    monkeypatch.setattr(worker, "open_watch", lambda plan: events.append({"event": "device"}) or Quiet())
    monkeypatch.setattr(worker.engines, "imported", lambda *args: events.append({"event": "importing"}))
    monkeypatch.setattr(worker.engines, "load", lambda *args: type("E", (Engine,), {"describe": lambda self: {}})())
    monkeypatch.setattr(Launch, "_check_accuracy", lambda self: None)
    monkeypatch.setattr(worker.gc, "freeze", lambda: None)
    worker.measure(plan, events.append)
    kinds = [event["event"] for event in events]
    assert kinds == [
        "importing", "imported", "awaited", "device", "peaks", "loaded", "warm", "awaited", "round", "done",
    ]  # fmt: skip


def test_what_was_imported_early_is_part_of_the_start(monkeypatch, peaks):
    events: list[dict[str, Any]] = []
    made = Launch(launch(events, rows=())._plan, events.append, Quiet(), imported_s=16.0)
    monkeypatch.setattr(worker.engines, "load", lambda *args: type("E", (Engine,), {"describe": lambda self: {}})())
    monkeypatch.setattr(made, "_check_accuracy", lambda: None)
    monkeypatch.setattr(worker.gc, "freeze", lambda: None)
    made.run()
    (loaded,) = [event for event in events if event["event"] == "loaded"]
    assert loaded["load_s"] > 16.0


def test_a_round_carries_what_engine_and_watch_tell():
    made = launch([])
    made._engine = Engine()
    made._engine.generate(np.ones((1, 5), np.int64), 1)
    event = made._measure(0, ROW)
    assert event["tpot_s"] == 0.2
    assert event["gpu"] == {"energy_j": 7.0}
    assert event["counters"] == {"num_preemptions": 1.0}, "of this round alone"
    assert event["kv_cache"] == {"peak_blocks": 3, "blocks": 8, "block_tokens": 16}
    assert event["output_tokens"] == 8


def test_a_disturbed_round_is_measured_again_while_repeats_are_left():
    events: list[dict[str, Any]] = []
    made = launch(events, Quiet("others used the GPU", None))
    made._engine = Engine()
    made._measure_until_quiet(0, ROW)
    assert [(event["disturbed"], event["repeated"]) for event in events] == [
        ("others used the GPU", True),
        (None, False),
    ]
