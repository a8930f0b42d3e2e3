"""One watch for each device: what it puts into a round's event, and when the round does not count."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from boards import Board, FakeNvml

from tokgate.machine import gpuwatch, watch
from tokgate.machine.telemetry import RoundUse
from tokgate.machine.watch import CpuWatch, GpuWatch, Watch, Watched, open_watch
from tokgate.plan import PLAN_SCHEMA, LaunchPlan

pytestmark = pytest.mark.unit

USE = RoundUse(
    wall_s=1.0, own_cpu_s=1.9, busy_s=1.95, steal_s=0.0, foreign_s=0.05, cores=8, foreign_share=0.0,
    offenders=(), swapped_in_pages=0, swapped_out_pages=0, throttled_s=0.0,
)  # fmt: skip


@pytest.fixture
def host(monkeypatch):
    """Sets what the CPUs of the host did, and how long the probe takes."""

    class Scripted:
        use = USE
        probe_s = 0.02

        def __init__(self, also: frozenset[int] = frozenset()) -> None:
            Scripted.also = also

        def start(self) -> None: ...

        def stop(self) -> RoundUse:
            return self.use

    monkeypatch.setattr(watch, "RoundWatch", Scripted)
    monkeypatch.setattr(watch, "matmul_probe", lambda threads: Scripted.probe_s)
    monkeypatch.setattr(watch, "loop_probe", lambda: Scripted.probe_s)
    return Scripted


def round_of(made: Watch) -> Watched:
    made.settle()
    made.start()
    return made.stop()


def test_a_cpu_round_has_the_use_of_the_cores_and_the_probes(host):
    seen = round_of(CpuWatch(2))
    assert seen.disturbed is None
    assert seen.figures["probe_s"] == [0.02, 0.02]
    assert json.loads(json.dumps(seen.figures))["use"]["own_cpu_s"] == 1.9


def test_a_busy_host_disturbs_a_cpu_round_by_share_or_by_probe(host):
    host.use = replace(USE, foreign_share=0.1, foreign_s=0.8)
    assert "others took 10% of the 8 cores" in str(round_of(CpuWatch(2)).disturbed)
    host.use = USE
    made = CpuWatch(2)
    made.settle()
    host.probe_s = 0.06
    made.start()
    assert "probe 200% slower" in str(made.stop().disturbed)


def test_a_gpu_round_has_the_gpu_beside_the_host_and_how_fast_one_core_was(host):
    seen = round_of(GpuWatch(1, {}, FakeNvml(Board("GPU-1", used_mib=1000))))
    assert seen.disturbed is None
    told = json.loads(json.dumps(seen.figures))
    assert told.keys() == {"use", "gpu", "loop_s"}
    assert told["loop_s"] == [0.02, 0.02]
    assert told["gpu"]["memory_bytes"] == 1000 << 20


def test_a_gpu_rounds_energy_is_that_of_nothing_but_the_round(host, monkeypatch):
    """What the suite does beside it scans every process of the host, and the GPU draws its power meanwhile."""
    monkeypatch.setattr(gpuwatch, "_LEAST_ENERGY_S", 0.0)
    board = Board("GPU-1")

    def used(joules: int) -> None:
        board.energy_mj += 1000 * joules

    monkeypatch.setattr(host, "start", lambda self: used(100))
    monkeypatch.setattr(host, "stop", lambda self: (used(200), USE)[1])
    monkeypatch.setattr(watch, "loop_probe", lambda: (used(400), 0.02)[1])
    made = GpuWatch(1, {}, FakeNvml(board))
    made.settle()
    made.start()
    used(7)
    assert made.stop().figures["gpu"]["energy_j"] == 7


def test_a_slow_core_beside_a_gpu_is_recorded_and_disturbs_nothing(host):
    made = GpuWatch(1, {}, FakeNvml(Board("GPU-1")))
    made.settle()
    made.start()
    host.probe_s = 0.2
    seen = made.stop()
    assert seen.figures["loop_s"] == [0.02, 0.2]
    assert seen.disturbed is None


def test_a_gpu_leaves_others_half_of_the_hosts_cores(host):
    host.use = replace(USE, foreign_share=0.5, foreign_s=4.0)
    assert round_of(GpuWatch(1, {}, FakeNvml(Board("GPU-1")))).disturbed is None
    host.use = replace(USE, foreign_share=0.6, foreign_s=4.8)
    said = str(round_of(GpuWatch(1, {}, FakeNvml(Board("GPU-1")))).disturbed)
    assert "others took 60% of the 8 cores (limit 50%" in said


def test_a_gpu_that_is_too_hot_disturbs():
    board = Board("GPU-1", reasons=0x40, temperature_c=93)
    assert "hardware thermal slowdown" in str(round_of(GpuWatch(1, {}, FakeNvml(board))).disturbed)


def test_a_stranger_on_the_gpu_disturbs():
    board = Board("GPU-1", processes={1: 10**9}, sm_pct={1: 40})
    assert "pid 1: 40% of its time" in str(round_of(GpuWatch(1, {}, FakeNvml(board))).disturbed)


def test_this_process_on_the_gpu_does_not():
    board = Board("GPU-1", processes={os.getpid(): 10**9}, sm_pct={os.getpid(): 40})
    assert round_of(GpuWatch(1, {}, FakeNvml(board))).disturbed is None


def test_a_lost_driver_disturbs_and_the_next_round_is_seen_again():
    nvml = FakeNvml(Board("GPU-1"))
    made = GpuWatch(1, {}, nvml)
    made.settle()
    made.start()
    nvml.lose()
    assert "no telemetry of the GPU" in str(made.stop().disturbed)
    nvml.boards[0].errors.clear()
    made.start()
    assert made.stop().disturbed is None


def test_the_library_is_free_while_the_engine_is_loaded():
    """vLLM may fork its engine; what a fork finds in the driver's library is nobody's business."""
    nvml = FakeNvml(Board("GPU-1"))
    made = GpuWatch(1, {}, nvml)
    assert nvml.sessions == 0
    made.settle()
    assert nvml.sessions == 1


def test_a_plan_for_the_cpu_is_watched_as_one_whatever_the_engine():
    plan = LaunchPlan(PLAN_SCHEMA, "vllm", "/m", 100, {}, 2, 1, 0, 0, 0, ())
    assert isinstance(open_watch(plan), CpuWatch)


@pytest.mark.parametrize(("url", "is_here"), [("http://localhost:8000", True), ("https://127.0.0.2", True),
                                              ("http://gpu-host:8000", False)])  # fmt: skip
def test_a_busy_host_of_a_load_client_may_be_the_servers_own(host, monkeypatch, url, is_here):
    monkeypatch.setattr(watch, "listening_family", lambda port: frozenset())
    assert round_of(watch.HostWatch(url)).disturbed is None
    host.use = replace(USE, foreign_share=0.6, foreign_s=4.8)
    disturbed = str(round_of(watch.HostWatch(url)).disturbed)
    assert "others took 60% of the 8 cores" in disturbed
    assert ("the server itself counts among them" in disturbed) is is_here


@pytest.mark.parametrize(("url", "port"), [("http://localhost:8000", 8000), ("http://127.0.0.1/v1", 80),
                                           ("https://localhost", 443)])  # fmt: skip
def test_a_server_of_this_host_that_is_seen_is_no_stranger(host, monkeypatch, url, port):
    """Its processes count with the client's own; what others take then is not the server's, and nothing says it is."""
    monkeypatch.setattr(watch, "listening_family", lambda asked: frozenset({7, 8} if asked == port else ()))
    host.use = replace(USE, foreign_share=0.6, foreign_s=4.8)
    disturbed = str(round_of(watch.HostWatch(url)).disturbed)
    assert host.also == {7, 8}
    assert "others took 60% of the 8 cores" in disturbed
    assert "the server itself" not in disturbed
