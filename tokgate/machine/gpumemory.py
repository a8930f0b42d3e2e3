"""Whether GPUs have their memory back after an engine: what an orphan holds, the next launch does not get."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tokgate.errors import MeasurementError
from tokgate.machine.nvml import driver_session, optional, visible_devices

_WAIT_S = 30.0
_LOOK_S = 0.2
# The driver's own share varies a little.
_SLACK_BYTES = 256 << 20


class GpuMemory:
    """The memory in use on the first `count` visible GPUs when this was made. Raises as `visible_devices` does."""

    def __init__(self, count: int, environ: Mapping[str, str], nvml: Any = None, wait_s: float = _WAIT_S) -> None:
        self._count, self._environ, self._nvml, self._wait_s = count, dict(environ), nvml, wait_s
        self._before_bytes = self._used_bytes()

    def await_freed(self) -> None:
        """Returns when no more is in use than then. Raises MeasurementError where that does not come."""
        if self._before_bytes is None:
            return
        deadline_s = time.monotonic() + self._wait_s
        while True:
            used_bytes = self._used_bytes()
            if used_bytes is None or used_bytes <= self._before_bytes + _SLACK_BYTES:
                return
            if time.monotonic() > deadline_s:
                held_gb = (used_bytes - self._before_bytes) / 1e9
                raise MeasurementError(
                    f"{held_gb:.1f} GB of GPU memory are still in use {self._wait_s:g} s after the server ended: "
                    "something of it, or of somebody else, holds them; nvidia-smi names it"
                )
            time.sleep(_LOOK_S)

    def _used_bytes(self) -> int | None:
        """None where a board does not tell."""
        with driver_session(self._nvml) as library:
            devices = visible_devices(library, self._environ)[: self._count]
            found = [optional(library, "nvmlDeviceGetMemoryInfo", device.handle) for device in devices]
        return None if None in found else sum(memory.used for memory in found)
