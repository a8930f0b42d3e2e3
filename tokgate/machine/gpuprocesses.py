"""Whose processes are on the GPUs: this process's family, or others.

In a container NVML may give the host's process ids, which mean nothing here. An id that /proc does not know is
ours if it came while our engine was loaded and warmed up, since the device lock keeps other measurements off; one
that was there before, or came later, is foreign. Where the driver tells of no process at all, nobody is seen.

The driver notes once a sample period what each process computed, and many a round is shorter: of the others, what was
noted in the second before the round's end tells too, unless they are known to have ended before it began.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokgate.machine import processes
from tokgate.machine.files import REAL_ROOT
from tokgate.machine.gpuuse import GpuProcess
from tokgate.machine.nvml import Device, optional
from tokgate.machine.processes import Process

# What older libraries give for memory that is not available.
_NO_MEMORY_FIGURE = 1 << 63
_RECENT_US = 10_000_000
# NVML: "Each sample period may be between 1 second and 1/6 second, depending on the product being queried."
_PERIOD_US = 1_000_000


@dataclass(frozen=True)
class Unseen:
    """The ids that /proc did not know at `at_us`, by the driver's clock: microseconds since 1970."""

    at_us: int
    ids: frozenset[int]


class GpuTenants:
    """Who is on the GPUs beside our engine, which is warm by now; `before`: what was seen before it was loaded."""

    def __init__(self, nvml: Any, devices: Sequence[Device], before: Unseen, root: Path = REAL_ROOT) -> None:
        self._nvml = nvml
        self._devices = devices
        self._root = root
        self._own_unseen = unseen_now(nvml, devices, root, before.at_us).ids - before.ids
        self._family = {os.getpid()}
        self._met: set[int] = set()
        self._look()

    def start(self) -> None:
        self._since_us = _now_us()
        met = frozenset(self._met)
        self._found = self._look()
        self._ended = met - self._there

    def stop(self) -> tuple[GpuProcess, ...]:
        """The others that held memory at an edge of the round or computed beside it, the busiest first."""
        shares = _sm_shares(self._nvml, self._devices, min(self._since_us, _now_us() - _PERIOD_US))
        held = self._found | self._look()
        computed = {pid: None for pid, share in (shares or {}).items() if share > 0 and pid not in self._ended}
        found = self._others(computed) | held
        told = [
            other._replace(sm_share=None if shares is None else shares.get(pid, 0.0)) for pid, other in found.items()
        ]
        return tuple(sorted(told, key=lambda other: (-(other.sm_share or 0.0), other.pid)))

    def _look(self) -> dict[int, GpuProcess]:
        """Meets all who are there now; returns the others that hold memory."""
        listed = _listed(self._nvml, self._devices)
        self._seen = processes.scan(self._root)
        self._there = {*self._seen, *listed}
        self._met |= self._there
        # Whoever was of the family is ours when it has ended, too.
        self._family |= processes.descendants(self._seen, os.getpid())
        return self._others(listed)

    def _others(self, ids: Mapping[int, int | None]) -> dict[int, GpuProcess]:
        seen = self._seen
        mine = self._family | {pid for pid in self._own_unseen if pid not in seen}
        return {pid: GpuProcess(_name(seen.get(pid)), pid, held, None) for pid, held in ids.items() if pid not in mine}


def foreign_now(nvml: Any, device: Device, root: Path = REAL_ROOT) -> list[GpuProcess]:
    """Who is on a GPU that this process does not use."""
    seen = processes.scan(root)
    listed = _listed(nvml, [device])
    return [GpuProcess(_name(seen.get(pid)), pid, held, None) for pid, held in listed.items()]


def unseen_now(nvml: Any, devices: Sequence[Device], root: Path = REAL_ROOT, since_us: int | None = None) -> Unseen:
    """The ids that hold memory of the GPUs, or computed since then (by default in the last ten seconds)."""
    now_us = _now_us()
    shares = _sm_shares(nvml, devices, now_us - _RECENT_US if since_us is None else since_us) or {}
    ids = {*_listed(nvml, devices), *(pid for pid, share in shares.items() if share > 0)}
    return Unseen(now_us, frozenset(ids) - frozenset(processes.scan(root)) if ids else frozenset())


def _sm_shares(nvml: Any, devices: Sequence[Device], since_us: int) -> dict[int, float] | None:
    """Process id -> its largest share of a GPU's time since then; None where the driver keeps no such record."""
    shares: dict[int, float] = {}
    for device in devices:
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(device.handle, since_us)
        except nvml.NVMLError as error:
            if error.value in (nvml.NVML_ERROR_NOT_FOUND, nvml.NVML_SUCCESS):  # the library raises success, too
                continue
            return None
        except AttributeError:
            return None
        for sample in samples:
            # Entries that were never filled have a time of 0.
            if sample.timeStamp > since_us:
                shares[sample.pid] = max(shares.get(sample.pid, 0.0), sample.smUtil / 100)
    return shares


def _listed(nvml: Any, devices: Sequence[Device]) -> dict[int, int | None]:
    """Process id -> bytes on the GPUs, of those that can compute. A display server that only draws is none."""
    found: dict[int, int | None] = {}
    for device in devices:
        for entry in optional(nvml, "nvmlDeviceGetComputeRunningProcesses", device.handle) or ():
            held = entry.usedGpuMemory
            known = held is not None and held < _NO_MEMORY_FIGURE
            found[entry.pid] = (found.get(entry.pid) or 0) + held if known else found.get(entry.pid)
    return found


def _name(process: Process | None) -> str:
    return "a process of another container" if process is None else process.name


def _now_us() -> int:
    return int(1e6 * time.time())
