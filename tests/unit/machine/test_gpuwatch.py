"""Sampling a GPU: sums and extremes by hand, what a board does not tell is None, and a lost driver is no crash."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from boards import NOT_SUPPORTED, Board, FakeNvml

from tokgate.errors import NoDeviceError
from tokgate.machine import gpuwatch
from tokgate.machine.gpuuse import GpuUse
from tokgate.machine.gpuwatch import GpuSampler

pytestmark = pytest.mark.unit

MIB = 1 << 20


@pytest.fixture(autouse=True)
def _short_rounds_have_energy(monkeypatch) -> None:
    monkeypatch.setattr(gpuwatch, "_LEAST_ENERGY_S", 0.0)


def opened(nvml: FakeNvml, count: int = 1) -> GpuSampler:
    sampler = GpuSampler(count, {}, nvml)
    sampler.open()
    return sampler


def begin(sampler: GpuSampler) -> None:
    sampler.start()
    sampler.round_begins()


def end(sampler: GpuSampler) -> GpuUse:
    sampler.round_ends()
    return sampler.stop()


def wait_for(nvml: FakeNvml, samples: int) -> None:
    """Until the thread has taken so many, counted by board."""
    until = time.monotonic() + 20
    while nvml.samples < samples and time.monotonic() < until:
        time.sleep(0.005)
    assert nvml.samples >= samples


def watched(nvml: FakeNvml, count: int = 1) -> GpuUse:
    sampler = opened(nvml, count)
    begin(sampler)
    wait_for(nvml, count)
    return end(sampler)


def test_one_gpu_is_told_as_it_is():
    use = watched(FakeNvml(Board("GPU-1", used_mib=1000, busy_pct=80, temperature_c=70)))
    assert (use.gpus, use.utilization, use.memory_bytes) == (1, pytest.approx(0.8), 1000 * MIB)
    assert (use.power_w, use.temperature_c, use.sm_clock_mhz) == (400.0, 70, 1980)
    assert (use.reasons, use.foreign, use.lost) == ({}, (), None)
    assert use.samples >= 2, "one by the thread, and one at the end"
    assert use.sampler_cpu_s >= 0


def test_of_several_gpus_memory_and_power_add_up_and_the_extremes_count():
    boards = [
        Board("GPU-1", used_mib=1000, busy_pct=80, sm_clock_mhz=1980, temperature_c=60),
        Board("GPU-2", used_mib=3000, busy_pct=40, sm_clock_mhz=1400, temperature_c=75, reasons=0x4),
    ]
    use = watched(FakeNvml(*boards, Board("GPU-3", used_mib=9000, reasons=0x8)), count=2)
    assert (use.gpus, use.memory_bytes, use.power_w) == (2, 4000 * MIB, 800.0)
    assert use.utilization == pytest.approx(0.6)
    assert (use.sm_clock_mhz, use.sm_clock_min_mhz, use.temperature_c) == (1690, 1400, 75)
    assert use.reasons == {"software power cap": 0.5}, "those of the third, which is not used, are nobody's"


def test_memory_is_the_most_at_once():
    board = Board("GPU-1", used_mib=5000)
    nvml = FakeNvml(board)
    sampler = opened(nvml)
    begin(sampler)
    wait_for(nvml, 1)
    board.used_mib = 700
    assert end(sampler).memory_bytes == 5000 * MIB


def test_the_round_begins_when_the_first_sample_is_taken(monkeypatch):
    read, slow_s = gpuwatch._read, 0.3
    monkeypatch.setattr(gpuwatch, "_read", lambda *args: (time.sleep(slow_s), read(*args))[1])
    nvml = FakeNvml(Board("GPU-1"))
    sampler = opened(nvml)
    begin(sampler)
    assert nvml.samples == 1
    end(sampler)


def test_it_goes_on_sampling_through_the_round():
    nvml = FakeNvml(Board("GPU-1"))
    sampler = opened(nvml)
    begin(sampler)
    wait_for(nvml, 3)
    assert end(sampler).samples >= 4


def test_rounds_do_not_share_their_samples():
    board = Board("GPU-1", temperature_c=90)
    nvml = FakeNvml(board)
    sampler = opened(nvml)
    for temperature_c in (90, 60):
        board.temperature_c = temperature_c
        begin(sampler)
        wait_for(nvml, nvml.samples + 1)
        assert end(sampler).temperature_c == temperature_c


def energy_of(board: Board, used_mj: int) -> GpuUse:
    nvml = FakeNvml(board)
    sampler = opened(nvml)
    begin(sampler)
    wait_for(nvml, 1)
    board.energy_mj += used_mj
    return end(sampler)


def test_energy_is_what_the_counter_moved():
    use = energy_of(Board("GPU-1"), used_mj=123_000)
    assert (use.energy_j, use.energy_from) == (123.0, "counter")


def test_without_a_counter_energy_is_power_times_time():
    use = energy_of(Board("GPU-1", errors={"nvmlDeviceGetTotalEnergyConsumption": NOT_SUPPORTED}), 0)
    assert use.energy_from == "power"
    assert use.energy_j is not None
    assert 0 < use.energy_j < 400 * 30


@pytest.mark.parametrize("uncounted", [False, True])
def test_a_slice_has_neither_power_nor_energy(uncounted):
    """The driver knows the whole GPU's alone, and its other slices draw of both."""
    whole = Board("GPU-1", mig=True, slices=[Board("MIG-1", used_mib=100), Board("MIG-2")])
    if uncounted:
        whole.errors["nvmlDeviceGetTotalEnergyConsumption"] = NOT_SUPPORTED
    nvml = FakeNvml(whole)
    sampler = GpuSampler(1, {"CUDA_VISIBLE_DEVICES": "MIG-1"}, nvml)
    sampler.open()
    begin(sampler)
    wait_for(nvml, 1)
    whole.energy_mj += 123_000
    use = end(sampler)
    assert (use.power_w, use.energy_j, use.energy_from) == (None, None, None)
    assert (use.memory_bytes, use.temperature_c, use.lost) == (100 * MIB, 61, None)


def test_a_counter_that_did_not_move_tells_nothing(monkeypatch):
    assert energy_of(Board("GPU-1"), used_mj=0).energy_j is None
    monkeypatch.setattr(gpuwatch, "_LEAST_ENERGY_S", 60.0)
    assert energy_of(Board("GPU-1"), used_mj=50).energy_j is None, "nor does its step in a short round"


def test_what_a_board_does_not_tell_is_none():
    refused = ("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption")
    use = watched(FakeNvml(Board("GPU-1", errors=dict.fromkeys(refused, NOT_SUPPORTED))))
    assert (use.utilization, use.power_w, use.energy_j, use.energy_from) == (None, None, None, None)
    assert use.memory_bytes == 512 * MIB
    assert use.lost is None


@pytest.mark.parametrize("old", [False, True])
def test_reasons_have_two_names_by_driver(old):
    use = watched(FakeNvml(Board("GPU-1", reasons=0x20 | 0x4), old=old))
    assert use.reasons == {"software power cap": 1.0, "software thermal slowdown": 1.0}


def test_a_driver_lost_in_the_round_is_told_and_no_crash():
    nvml = FakeNvml(Board("GPU-1"))
    sampler = opened(nvml)
    begin(sampler)
    wait_for(nvml, 1)
    nvml.lose()
    use = end(sampler)
    assert use.samples >= 1
    assert use.lost == "the driver stopped answering"


def test_a_driver_lost_before_the_round_leaves_no_sample():
    nvml = FakeNvml(Board("GPU-1"))
    sampler = opened(nvml)
    nvml.lose()
    begin(sampler)
    use = end(sampler)
    assert (use.samples, use.memory_bytes, use.lost) == (0, None, "the driver said nothing")


def test_a_driver_that_hangs_is_not_waited_for_for_ever(monkeypatch):
    release = threading.Event()

    class Hanging(FakeNvml):
        def nvmlDeviceGetClockInfo(self, board: Board, clock: int) -> int:
            release.wait()
            return 0

    monkeypatch.setattr(gpuwatch, "_JOIN_S", 0.05)
    sampler = opened(Hanging(Board("GPU-1")))
    begin(sampler)
    try:
        assert "did not answer for 0.05 s" in str(end(sampler).lost)
    finally:
        release.set()


def test_without_a_gpu_it_cannot_be_made():
    with pytest.raises(NoDeviceError):
        GpuSampler(1, {}, FakeNvml(driver=False))


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    until = time.monotonic() + 10
    while any(thread.name == "gpu-sampler" for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)
