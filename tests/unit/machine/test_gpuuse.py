"""A round on a GPU counts unless it was slowed down, shared, or not seen; limits say what to do."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from tokgate.machine.gpuuse import GpuLimits, GpuProcess, GpuUse, gpu_disturbance

pytestmark = pytest.mark.unit

QUIET = GpuUse(
    gpus=1, samples=20, utilization=0.93, memory_bytes=130 * 10**9, power_w=512.0, energy_j=1024.0,
    energy_from="counter", sm_clock_mhz=1980, sm_clock_min_mhz=1965, temperature_c=61, reasons={}, foreign=(),
    lost=None, sampler_cpu_s=0.004,
)  # fmt: skip


def fault_of(**change: object) -> str | None:
    return gpu_disturbance(replace(QUIET, **change), GpuLimits())


def test_a_quiet_round_counts():
    assert fault_of() is None


@pytest.mark.parametrize("reason", ["gpu idle", "application clocks", "software power cap", "sync boost"])
def test_what_heavy_work_meets_is_no_fault(reason):
    """A board at its power limit is what it is every night."""
    assert fault_of(reasons={reason: 1.0}) is None


@pytest.mark.parametrize(
    "reason",
    ["hardware slowdown", "software thermal slowdown", "hardware thermal slowdown", "hardware power brake"],
)
def test_slowdowns_disturb_beyond_a_share_of_the_samples(reason):
    assert fault_of(reasons={reason: 0.05}) is None
    said = str(fault_of(reasons={reason: 0.4, "software power cap": 1.0}, temperature_c=91))
    assert said.startswith(
        f"the GPU was slowed down: {reason} in 40% of the samples (limit 5%; 91 C): see to its cooling"
    )
    assert "power cap" not in said


def test_a_stranger_that_computed_disturbs_and_is_named():
    said = fault_of(foreign=(GpuProcess("python3", 4711, 8 * 10**9, 0.3), GpuProcess("Xorg", 9, None, 0.0)))
    assert said == (
        "others used the GPU (python3 pid 4711: 30% of its time, 8.0 GB; limit 0%): stop them, or choose another GPU "
        "with CUDA_VISIBLE_DEVICES"
    )


def test_a_stranger_that_only_holds_memory_does_not():
    assert fault_of(foreign=(GpuProcess("python3", 4711, 8 * 10**9, 0.0),)) is None


def test_where_the_driver_does_not_tell_who_computed_presence_disturbs():
    assert "whether it computed is not told" in str(fault_of(foreign=(GpuProcess("python3", 4711, 10**9, None),)))


def test_a_round_that_was_not_seen_to_its_end_does_not_count():
    said = str(fault_of(lost="the driver stopped answering"))
    assert "no telemetry of the GPU after 20 samples (the driver stopped answering)" in said
    assert "nvidia-smi" in said


def test_all_faults_are_told():
    both = fault_of(reasons={"hardware slowdown": 1.0}, foreign=(GpuProcess("x", 1, None, None),))
    assert str(both).count("(limit ") + str(both).count("; limit ") == 2


def test_a_use_travels_as_json():
    assert json.loads(json.dumps(asdict(QUIET)))["energy_from"] == "counter"
