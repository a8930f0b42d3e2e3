"""A worker measures the machine's own peaks after its last round, and cannot fail by it."""

from __future__ import annotations

import pytest

from tokgate import worker
from tokgate.plan import PLAN_SCHEMA, LaunchPlan
from tokgate.worker import Launch

pytestmark = pytest.mark.unit


def launch(engine: str, events: list[dict[str, object]]) -> Launch:
    plan = LaunchPlan(
        schema=PLAN_SCHEMA, engine=engine, model_dir="", vocab_size=10, settings={}, threads=2, rounds=1, repeats=0,
        order_seed=0, prompt_seed=0, rows=(),
    )  # fmt: skip
    return Launch(plan, events.append)


def test_peaks_are_an_event_of_their_own(monkeypatch):
    events: list[dict[str, object]] = []
    monkeypatch.setattr(worker, "measured_peaks", lambda threads: {"read_bytes_s": 1e9 * threads, "flop_s": 1e11})
    launch("onnx", events)._measure_peaks()
    assert events == [{"event": "peaks", "read_bytes_s": 2e9, "flop_s": 1e11}]


@pytest.mark.parametrize("error", [MemoryError("none left"), RuntimeError("it ended"), OSError("no such program")])
def test_a_probe_that_fails_is_no_failure_of_the_launch(monkeypatch, capsys, error):
    def fail(threads: int) -> dict[str, float]:
        raise error

    events: list[dict[str, object]] = []
    monkeypatch.setattr(worker, "measured_peaks", fail)
    launch("onnx", events)._measure_peaks()
    assert events == []
    assert str(error) in capsys.readouterr().err


def test_what_runs_on_a_gpu_is_not_held_against_the_hosts_memory(monkeypatch):
    events: list[dict[str, object]] = []
    monkeypatch.setattr(worker, "measured_peaks", lambda threads: {"read_bytes_s": 1e9, "flop_s": 1e11})
    launch("vllm", events)._measure_peaks()
    assert events == []
