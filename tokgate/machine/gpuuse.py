"""What the GPUs did during a round, and whether that lets the round count. Pure, standard library alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

# nvmlClocksEventReasons (throttle reasons, before driver 535). A power cap is what heavy work on a healthy board
# meets: it is a fact of the machine, as its power limit is. The slowdowns are faults of cooling or of the supply.
CLOCK_REASONS = {
    0x1: "gpu idle",
    0x2: "application clocks",
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clocks",
}
SLOWDOWNS = tuple(CLOCK_REASONS[bit] for bit in (0x8, 0x20, 0x40, 0x80))
_MOST_NAMED = 3


class GpuProcess(NamedTuple):
    """Somebody else's process on a GPU. `sm_share`: of the multiprocessors' time, 0 to 1, the busiest moment in the
    round, or in the second before its end; None where the driver does not tell. `memory_bytes` is None there too."""

    name: str
    pid: int
    memory_bytes: int | None
    sm_share: float | None


@dataclass(frozen=True)
class GpuUse:
    """The GPUs of a launch during one round; None is what the driver does not tell.

    `utilization` (0 to 1) is the mean over GPUs and samples of the share of time in which a kernel ran; power and
    energy are sums over the GPUs, `energy_from` says by what ("counter", or "power" times time); both are None of MIG
    slices, since the driver tells those of the whole GPU, neighbours included. `memory_bytes`: the most that was in use
    at once, the driver's own share included. SM clocks are over all samples of all GPUs, the temperature is the
    highest. `reasons`: why clocks were not at their highest, each with its share of the samples. `lost`: why there is
    no telemetry, or none at the end. `sampler_cpu_s`: what the watching itself took.
    """

    gpus: int
    samples: int
    utilization: float | None
    memory_bytes: int | None
    power_w: float | None
    energy_j: float | None
    energy_from: str | None
    sm_clock_mhz: float | None
    sm_clock_min_mhz: int | None
    temperature_c: int | None
    reasons: Mapping[str, float]
    foreign: tuple[GpuProcess, ...]
    lost: str | None
    sampler_cpu_s: float


@dataclass(frozen=True)
class GpuLimits:
    """Beyond which a round does not count. A slowdown in one sample of many may be a blip of the sensor."""

    slowdown_share: float = 0.05
    foreign_sm_share: float = 0.0


def gpu_disturbance(use: GpuUse, limits: GpuLimits) -> str | None:
    """Why a round cannot be believed: the figure, the limit, and what to do. None if it can."""
    faults = []
    if use.lost is not None:
        faults.append(
            f"no telemetry of the GPU after {use.samples} samples ({use.lost}): what disturbed the round is not known; "
            "check that nvidia-smi answers, and the kernel's log for Xid errors"
        )
    slow = {name: share for name, share in use.reasons.items() if name in SLOWDOWNS and share > limits.slowdown_share}
    if slow:
        seen = ", ".join(f"{name} in {share:.0%} of the samples" for name, share in slow.items())
        heat = "" if use.temperature_c is None else f"; {use.temperature_c} C"
        faults.append(
            f"the GPU was slowed down: {seen} (limit {limits.slowdown_share:.0%}{heat}): see to its cooling and power "
            "supply, or lower its power limit (nvidia-smi -pl), which makes another machine of it"
        )
    busy = [other for other in use.foreign if other.sm_share is None or other.sm_share > limits.foreign_sm_share]
    if busy:
        named = ", ".join(_named(other) for other in busy[:_MOST_NAMED])
        faults.append(
            f"others used the GPU ({named}; limit {limits.foreign_sm_share:.0%}): stop them, or choose another GPU "
            "with CUDA_VISIBLE_DEVICES"
        )
    return "; ".join(faults) or None


def _named(other: GpuProcess) -> str:
    share = "whether it computed is not told" if other.sm_share is None else f"{other.sm_share:.0%} of its time"
    held = "" if other.memory_bytes is None else f", {other.memory_bytes / 1e9:.1f} GB"
    return f"{other.name} pid {other.pid}: {share}{held}"
