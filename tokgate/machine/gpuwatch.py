"""Watches GPUs through NVML while a round is measured: a thread that samples ten times a second.

nvidia-ml-py and the standard library. What a board or a driver does not tell is None; where the driver is lost in
the middle the round goes on, and its GpuUse says that it cannot be believed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from tokgate.machine.files import REAL_ROOT
from tokgate.machine.gpuprocesses import GpuTenants, unseen_now
from tokgate.machine.gpuuse import CLOCK_REASONS, GpuUse
from tokgate.machine.nvml import Device, driver_session, optional, visible_devices

# Six queries of some 10 to 100 us a GPU: under 1% of a core.
_PERIOD_S = 0.1
# The driver updates the energy counter every 20 to 100 ms: in shorter rounds its step would be the figure.
_LEAST_ENERGY_S = 0.5
_JOIN_S = 5.0
_SM_CLOCK = 1
_TEMPERATURE_GPU = 0
_REASON_QUERIES = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")


class _Sample(NamedTuple):
    """One GPU at one moment."""

    utilization: float | None
    memory_bytes: int | None
    power_w: float | None
    sm_clock_mhz: int | None
    temperature_c: int | None
    reasons: int | None


class GpuSampler:
    """Samples the first `count` GPUs that are visible under `environ`, from start() to stop().

    Between these come `round_begins`, last before the round, and `round_ends`, first after it: its energy is what was
    used from the one to the other.

    Made before the engine is loaded, to see who was there before it; `open` comes after, so that no engine is
    forked with the driver's library in use. `nvml` stands in for the library. Raises as `visible_devices` does.
    """

    def __init__(self, count: int, environ: Mapping[str, str], nvml: Any = None, root: Path = REAL_ROOT) -> None:
        self._count, self._environ, self._nvml, self._root = count, dict(environ), nvml, root
        with driver_session(nvml) as library:
            self._before = unseen_now(library, self._chosen(library), root)

    def open(self) -> None:
        """Takes the driver's library for the rest of this process's life."""
        self._held = ExitStack()
        self._library = self._held.enter_context(driver_session(self._nvml))
        self._devices = self._chosen(self._library)
        self._tenants = GpuTenants(self._library, self._devices, self._before, self._root)

    def start(self) -> None:
        self._moments: list[list[_Sample]] = []
        self._answers = True
        self._cpu_s = 0.0
        self._ended, begun = threading.Event(), threading.Event()
        self._tenants.start()
        arguments = (begun, self._ended)
        self._thread = threading.Thread(
            target=self._sample_until_ended, args=arguments, name="gpu-sampler", daemon=True
        )
        self._thread.start()
        # Nothing but the round begins when the round does. What does not answer in time is told when it ends.
        begun.wait(_JOIN_S)

    def round_begins(self) -> None:
        self._first_mj, self._began_s = self._energies(), time.perf_counter()

    def round_ends(self) -> None:
        self._last_mj, self._wall_s = self._energies(), time.perf_counter() - self._began_s

    def stop(self) -> GpuUse:
        self._ended.set()
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            return self._use(f"the driver did not answer for {_JOIN_S:g} s")
        self._sample()
        lost = None if self._answers else "the driver stopped answering" if self._moments else "the driver said nothing"
        return self._use(lost)

    def _chosen(self, library: Any) -> list[Device]:
        return visible_devices(library, self._environ)[: self._count]

    def _sample_until_ended(self, begun: threading.Event, ended: threading.Event) -> None:
        try:
            self._sample()
        finally:
            begun.set()
        while not ended.wait(_PERIOD_S):
            self._sample()
        self._cpu_s = time.thread_time()

    def _sample(self) -> None:
        moment = [_read(self._library, device) for device in self._devices]
        self._answers = all(any(figure is not None for figure in sample) for sample in moment)
        if self._answers:
            self._moments.append(moment)

    def _energies(self) -> list[int] | None:
        """Each GPU's energy counter in mJ; None where a board has none (before Volta), and of slices."""
        query = "nvmlDeviceGetTotalEnergyConsumption"
        found = [_of_whole(self._library, query, device) for device in self._devices]
        return None if None in found else found

    def _use(self, lost: str | None) -> GpuUse:
        samples = [sample for moment in self._moments for sample in moment]
        power_w = _mean(_sums(self._moments, "power_w"))
        energy_j, energy_from = self._energy(power_w)
        clocks = _known(samples, "sm_clock_mhz")
        return GpuUse(
            gpus=len(self._devices),
            samples=len(self._moments),
            utilization=_mean(_known(samples, "utilization")),
            memory_bytes=max(_sums(self._moments, "memory_bytes"), default=None),
            power_w=power_w,
            energy_j=energy_j,
            energy_from=energy_from,
            sm_clock_mhz=median(clocks) if clocks else None,
            sm_clock_min_mhz=min(clocks, default=None),
            temperature_c=max(_known(samples, "temperature_c"), default=None),
            reasons=_reasons(samples),
            foreign=self._tenants.stop() if lost is None else (),
            lost=lost,
            sampler_cpu_s=self._cpu_s,
        )

    def _energy(self, power_w: float | None) -> tuple[float | None, str | None]:
        if self._wall_s < _LEAST_ENERGY_S:
            return None, None
        if self._last_mj is not None and self._first_mj is not None:
            used_j = (sum(self._last_mj) - sum(self._first_mj)) / 1e3
            return (used_j, "counter") if used_j > 0 else (None, None)
        return (power_w * self._wall_s, "power") if power_w else (None, None)


def _of_whole(nvml: Any, query: str, device: Device) -> Any:
    """What adds up over all that run on a GPU: of a slice it would be its neighbours' too, and is None."""
    return None if device.sliced else optional(nvml, query, device.handle)


def _read(nvml: Any, device: Device) -> _Sample:
    """A slice's own utilisation and memory; clocks and heat are those of the GPU it is part of, power is none."""
    rates = optional(nvml, "nvmlDeviceGetUtilizationRates", device.handle)
    memory = optional(nvml, "nvmlDeviceGetMemoryInfo", device.handle)
    power_mw = _of_whole(nvml, "nvmlDeviceGetPowerUsage", device)
    reasons = (optional(nvml, query, device.whole) for query in _REASON_QUERIES)
    return _Sample(
        utilization=None if rates is None else rates.gpu / 100,
        memory_bytes=None if memory is None else memory.used,
        power_w=None if power_mw is None else power_mw / 1e3,
        sm_clock_mhz=optional(nvml, "nvmlDeviceGetClockInfo", device.whole, _SM_CLOCK),
        temperature_c=optional(nvml, "nvmlDeviceGetTemperature", device.whole, _TEMPERATURE_GPU),
        reasons=next((mask for mask in reasons if mask is not None), None),
    )


def _known(samples: Iterable[_Sample], figure: str) -> list[Any]:
    return [value for sample in samples if (value := getattr(sample, figure)) is not None]


def _sums(moments: Iterable[Sequence[_Sample]], figure: str) -> list[Any]:
    """By moment the sum over the GPUs, of the moments at which all of them told it."""
    told = ([getattr(sample, figure) for sample in moment] for moment in moments)
    return [sum(values) for values in told if None not in values]


def _mean(values: Sequence[float]) -> float | None:
    return mean(values) if values else None


def _reasons(samples: Iterable[_Sample]) -> dict[str, float]:
    masks = _known(samples, "reasons")
    seen = {name: sum(bool(mask & bit) for mask in masks) for bit, name in CLOCK_REASONS.items()}
    return {name: count / len(masks) for name, count in seen.items() if count}
