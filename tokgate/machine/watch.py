"""What stands beside each round and says whether it can be believed: on CPUs telemetry and a probe, on GPUs telemetry.

The standard library and numpy, and nvidia-ml-py where a GPU is watched.
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from tokgate.machine.gpumemory import RELEASE_S, await_free
from tokgate.machine.gpuuse import GpuLimits, gpu_disturbance
from tokgate.machine.gpuwatch import GpuSampler
from tokgate.machine.listeners import listening_family
from tokgate.machine.nvml import driver_session, visible_devices
from tokgate.machine.probe import ProbeBand, loop_probe, matmul_probe
from tokgate.machine.telemetry import DisturbanceLimits, RoundWatch, disturbance
from tokgate.plan import LaunchPlan

# A GPU's round needs a core or two of its host, for the scheduler and to launch kernels: only where others leave too
# little of the rest does it wait for them.
_HOST_LIMITS = DisturbanceLimits(foreign_share=0.5)


@dataclass(frozen=True)
class Watched:
    """What was seen beside one round. `figures` go into its event; `disturbed` says why it does not count, if so."""

    figures: dict[str, Any]
    disturbed: str | None


class Watch(Protocol):
    """Made before the engine is loaded; then `settle`, once it is warm, and a `start` and a `stop` for each round."""

    def settle(self) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> Watched: ...


def open_watch(plan: LaunchPlan) -> Watch:
    """The watch of what the plan's engine runs on. Raises TokgateError where its GPUs cannot be asked."""
    if plan.server is not None and plan.server.base_url:
        return HostWatch(plan.server.base_url)
    return GpuWatch(plan.gpus, os.environ) if plan.device == "gpu" else CpuWatch(plan.threads)


class CpuWatch:
    """Who used the cores, and a probe on both sides of the round."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._limits = DisturbanceLimits()
        self._band = ProbeBand()

    def settle(self) -> None:
        for _ in range(3):
            self._band.add(matmul_probe(self._threads))

    def start(self) -> None:
        self._before_s = matmul_probe(self._threads)
        self._use = RoundWatch()
        self._use.start()

    def stop(self) -> Watched:
        use = self._use.stop()
        after_s = matmul_probe(self._threads)
        fault = self._band.fault(self._before_s, after_s)
        return Watched(
            {"use": asdict(use), "probe_s": [self._before_s, after_s]}, disturbance(use, self._limits) or fault
        )


class HostWatch:
    """Of a server that was there before: whether the load client's host had cores left. What a server on this host
    takes is its work; where it is not told from others that use the host, as one in a container, a reason says so.
    """

    def __init__(self, base_url: str) -> None:
        address = urllib.parse.urlsplit(base_url)
        host = address.hostname or ""
        self._is_here = host in ("localhost", "::1") or host.startswith("127.")
        self._port = address.port or (443 if address.scheme == "https" else 80)

    def settle(self) -> None: ...

    def start(self) -> None:
        self._server = listening_family(self._port) if self._is_here else frozenset()
        self._use = RoundWatch(also=self._server)
        self._use.start()

    def stop(self) -> Watched:
        use = self._use.stop()
        disturbed = disturbance(use, _HOST_LIMITS)
        if disturbed and self._is_here:
            whose = "what answers behind the port's listener" if self._server else "the server itself"
            disturbed += (
                f"; {whose} counts among them where it runs on this host: let tokgate start it, load it from another "
                "machine, or by hand with tokgate bench serve"
            )
        return Watched({"use": asdict(use)}, disturbed)


class GpuWatch:
    """What the GPUs did, who else was on them, whether the host had cores left, and how fast one of them was.

    How fast is recorded and judges nothing: a tenant of the same host is seen by it and by nothing else here, but how
    much of that a round bears depends on what holds the round up.

    Raises MeasurementError where others hold the GPUs' memory for longer than `release_s`.
    """

    def __init__(self, gpus: int, environ: Mapping[str, str], nvml: Any = None, release_s: float = RELEASE_S) -> None:
        with driver_session(nvml) as library:
            await_free(library, visible_devices(library, environ)[:gpus], release_s)
        self._sampler = GpuSampler(gpus, environ, nvml)
        self._limits = GpuLimits()

    def settle(self) -> None:
        self._sampler.open()

    def start(self) -> None:
        self._before_s = loop_probe()
        # Who is on the GPU is asked outside of what counts as the round's use of the CPUs. Both scan every process,
        # outside of what counts as its energy.
        self._sampler.start()
        self._use = RoundWatch()
        self._use.start()
        self._sampler.round_begins()

    def stop(self) -> Watched:
        self._sampler.round_ends()
        use = self._use.stop()
        gpu = self._sampler.stop()
        after_s = loop_probe()
        faults = [gpu_disturbance(gpu, self._limits), disturbance(use, _HOST_LIMITS)]
        figures = {"use": asdict(use), "gpu": asdict(gpu), "loop_s": [self._before_s, after_s]}
        return Watched(figures, "; ".join(fault for fault in faults if fault) or None)
