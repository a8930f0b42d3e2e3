"""Whether GPUs are free before an engine is loaded, and after a server: what outlives a crash holds memory for ever.

nvidia-ml-py and the standard library.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokgate.errors import MeasurementError
from tokgate.machine.files import REAL_ROOT
from tokgate.machine.gpuprocesses import foreign_now
from tokgate.machine.nvml import Device, optional

# The driver's own share is 0.5 to 3% (H200, T4); vLLM asks for 90% and more.
_MOST_HELD = 0.10
# The driver takes back what a killed process of the launch before held, which may take seconds.
RELEASE_S = 30.0
_LOOK_S = 0.2


def await_free(
    nvml: Any,
    devices: Sequence[Device],
    wait_s: float = RELEASE_S,
    root: Path = REAL_ROOT,
    when: str = "before anything is loaded",
) -> None:
    """Returns once at most a tenth of each GPU's memory is held, by whomever; a GPU that does not tell is free.

    Raises MeasurementError after `wait_s` seconds, naming who holds it.
    """
    deadline_s = time.monotonic() + wait_s
    while held := [device for device in devices if _is_held(nvml, device)]:
        if time.monotonic() >= deadline_s:
            raise MeasurementError("; ".join(_told(nvml, device, root, when) for device in held))
        time.sleep(_LOOK_S)


def _is_held(nvml: Any, device: Device) -> bool:
    memory = optional(nvml, "nvmlDeviceGetMemoryInfo", device.handle)
    return memory is not None and memory.used > _MOST_HELD * memory.total


def _told(nvml: Any, device: Device, root: Path, when: str) -> str:
    memory = nvml.nvmlDeviceGetMemoryInfo(device.handle)
    held = f"{memory.used / 1e9:.1f} of {memory.total / 1e9:.1f} GB of GPU {device.uuid}"
    others = foreign_now(nvml, device, root)
    named = ", ".join(
        f"{other.name} pid {other.pid}" + ("" if other.memory_bytes is None else f": {other.memory_bytes / 1e9:.1f} GB")
        for other in others
    )
    who = named or "none that can be seen from here: another container, or another user"
    find = "one that outlived a crash: kill -9 PID" if others else "nvidia-smi on the host names them"
    return (
        f"{held} are held {when} (limit {_MOST_HELD:.0%}), by {who}: stop them ({find}), or choose "
        "another GPU with CUDA_VISIBLE_DEVICES"
    )
