"""Whether the client sees that it is late itself."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from serving.loads import load, request
from tokgate.serving import driver
from tokgate.serving.client import run_load
from tokgate.serving.loop import Stopper, drive
from tokgate.serving.looplag import LoopLag
from tokgate.serving.share import shares_of
from tokgate.stub.process import running

pytestmark = pytest.mark.unit

BLOCKED_S = 0.03


def driven(report=None):
    """Some 300 ms."""
    with running("--ttft-ms", "20", "--itl-ms", "5") as stub:
        return run_load(replace(load(stub.url, 4, max_concurrency=2), requests=[request(25)] * 4), report)


def test_a_loop_that_is_blocked_is_seen_and_a_fault(monkeypatch):
    monkeypatch.setattr(driver, "_PROGRESS_S", 0.02)
    result = driven(lambda progress: time.sleep(BLOCKED_S))
    # A sample is due every 10 ms, so one of them soon after the loop was blocked.
    assert result.health.loop_lag_max_s > BLOCKED_S - 0.012
    assert result.health.loop_lag_mean_s > 0.003
    assert result.health.unwatched_share < 0.1
    fault = result.client_fault()
    assert fault is not None
    assert "so it measured itself" in fault
    assert result.health.loop_lag_samples > 20


def test_a_sensor_without_samples_is_a_fault(monkeypatch):
    monkeypatch.setattr(LoopLag, "_sample", lambda self: self._timer.ticks())
    result = driven()
    assert result.health.unwatched_share == 1.0
    fault = result.client_fault()
    assert fault is not None
    assert "for 100% of the run nothing tells how late the client was" in fault


def test_what_a_process_waits_for_the_others_is_no_part_of_its_run():
    async def start():
        await asyncio.sleep(0.5)
        return time.perf_counter()

    with running("--ttft-ms", "20", "--itl-ms", "5") as stub:
        measured = drive(shares_of(load(stub.url, 1), None)[0], start, None, Stopper())
    assert measured.watched_s <= measured.wall_s + 0.01


def test_a_sensor_that_works_covers_the_run():
    assert driven().health.unwatched_share < 0.1
