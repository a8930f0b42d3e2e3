"""The GPUs a run uses, and what machine they make: an id, the facts behind it, and what else is worth recording.

As in fingerprint.py: `stable` must agree with a baseline's, `recorded` explains a change. Clocks, UUIDs and the
host's name are in no id: they differ between equal machines.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokgate.errors import InputError, NoDeviceError, TooFewGpusError
from tokgate.machine.cpumodel import slug
from tokgate.machine.files import REAL_ROOT
from tokgate.machine.fingerprint import fingerprint
from tokgate.machine.nvml import CHOOSE, NOT_SUPPORTED, Device, driver_session, optional, stable, visible_devices

# What may explain a change, by NVML's query for it. Of the PCIe generation the largest possible one: the current
# one falls when the GPU idles.
_RECORDED = {
    "vbios": "nvmlDeviceGetVbiosVersion",
    "pcie_generation_max": "nvmlDeviceGetMaxPcieLinkGeneration",
    "pcie_width": "nvmlDeviceGetCurrPcieLinkWidth",
    "pcie_width_max": "nvmlDeviceGetMaxPcieLinkWidth",
    "persistence_mode": "nvmlDeviceGetPersistenceMode",
    "ecc": "nvmlDeviceGetEccMode",
}
# nvmlClockType_t: NVML_CLOCK_SM, NVML_CLOCK_MEM.
_CLOCKS = {"sm": 1, "memory": 2}


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a MIG slice of the GPU `whole_uuid`, with its stable and its recorded facts."""

    uuid: str
    whole_uuid: str | None
    stable: Mapping[str, Any]
    recorded: Mapping[str, Any]


def gpu_fingerprint(
    count: int | None, environ: Mapping[str, str], root: Path = REAL_ROOT, nvml: Any = None
) -> dict[str, Any]:
    """{"id", "kind": "gpu", "stable", "recorded"} of the first `count` visible GPUs (None: of all), fit for JSON.

    The id counts the GPUs used, not those present: one GPU of a host of four is the machine that one alone is.
    Raises as `used_gpus` does.
    """
    with driver_session(nvml) as library:
        gpus = _used(library, count, environ)
        cuda = optional(library, "nvmlSystemGetCudaDriverVersion")
        driver = optional(library, "nvmlSystemGetDriverVersion")
    cpu = fingerprint(root)
    return {
        "id": _machine_id(gpus[0], len(gpus)),
        "kind": "gpu",
        "stable": {"gpu_count": len(gpus), **gpus[0].stable},
        "recorded": {
            "driver": driver,
            "cuda_driver": cuda and f"{cuda // 1000}.{cuda % 1000 // 10}",
            # Another card of the same kind may explain a change; it is no other machine.
            "uuids": ", ".join(gpu.uuid for gpu in gpus),
            **{fact: _joined(gpu.recorded[fact] for gpu in gpus) for fact in gpus[0].recorded},
            "host": {**cpu["stable"], **cpu["recorded"]},
        },
    }


def _machine_id(gpu: Gpu, count: int) -> str:
    name = slug(gpu.stable["gpu_name"])
    return name if count == 1 else f"{name}-x{count}"


def used_gpus(count: int | None, environ: Mapping[str, str], nvml: Any = None) -> list[Gpu]:
    """The first `count` GPUs that CUDA shows under `environ`, in its order; None takes all of them.

    `nvml` stands in for the pynvml module. Raises NoDeviceError where there is no library or driver, or no GPU is
    visible, TooFewGpusError where too few are; MeasurementError where a stable fact cannot be read; InputError where
    CUDA_VISIBLE_DEVICES names what is not there, or they differ: different GPUs are no one machine.
    """
    with driver_session(nvml) as library:
        return _used(library, count, environ)


def _used(nvml: Any, count: int | None, environ: Mapping[str, str]) -> list[Gpu]:
    devices = visible_devices(nvml, environ)
    if not devices:
        chosen = environ.get("CUDA_VISIBLE_DEVICES")
        setting = "" if chosen is None else f" (CUDA_VISIBLE_DEVICES={chosen!r})"
        raise NoDeviceError(f"no GPU is visible{setting}; {CHOOSE}")
    wanted = len(devices) if count is None else count
    if wanted < 1:
        raise InputError(f"{wanted} GPUs are asked for; expected 1 or more")
    if wanted > len(devices):
        seen = f"{wanted} GPUs are asked for and {len(devices)} are visible; ask for fewer, or {CHOOSE}"
        raise TooFewGpusError(seen, _machine_id(_gpu(nvml, devices[0]), wanted))
    gpus = [_gpu(nvml, device) for device in devices[:wanted]]
    for other in gpus[1:]:
        differ = [fact for fact, value in gpus[0].stable.items() if other.stable[fact] != value]
        if differ:
            seen = "; ".join(
                f"{gpu.uuid} has {', '.join(f'{fact} {gpu.stable[fact]}' for fact in differ)}"
                for gpu in (gpus[0], other)
            )
            raise InputError(f"the GPUs to be used are not alike, so they are no one machine: {seen}; {CHOOSE}")
    return gpus


def _gpu(nvml: Any, device: Device) -> Gpu:
    """The slice's own name and size; the limits of the GPU it is part of."""
    name = _name(stable(nvml, "gpu_name", "nvmlDeviceGetName", device.handle))
    mig = _mig_profile(nvml, device, name) if device.sliced else "off"
    memory = stable(nvml, "gpu_memory_mib", "nvmlDeviceGetMemoryInfo", device.handle)
    capability = stable(nvml, "compute_capability", "nvmlDeviceGetCudaComputeCapability", device.whole)
    return Gpu(
        uuid=device.uuid,
        whole_uuid=stable(nvml, "uuid", "nvmlDeviceGetUUID", device.whole) if device.sliced else None,
        stable={
            "gpu_name": f"{name} MIG {mig}" if device.sliced and "MIG" not in name else name,
            "gpu_memory_mib": memory if memory == NOT_SUPPORTED else memory.total >> 20,
            "power_limit_w": _power_limit_w(nvml, device.whole),
            "mig": mig,
            "compute_capability": capability if capability == NOT_SUPPORTED else ".".join(map(str, capability)),
        },
        recorded=_recorded(nvml, device.whole),
    )


def _name(name: str) -> str:
    """'Tesla T4' and 'A100-SXM4-40GB' of older drivers as newer ones say it: 'NVIDIA T4'."""
    return f"NVIDIA {re.sub(r'^(NVIDIA )?(Tesla )?', '', name)}"


def _mig_profile(nvml: Any, device: Device, name: str) -> str:
    """'1g.10gb', or '1c.3g.40gb' of a slice that is divided again: NVML's name ends in it; else by its sizes."""
    named = re.search(r"\bMIG (\S+)", name)
    if named:
        return named[1]
    sizes = stable(nvml, "mig", "nvmlDeviceGetAttributes", device.handle)
    if sizes == NOT_SUPPORTED:
        return NOT_SUPPORTED
    # 9728 MB are called 10gb.
    return f"{sizes.gpuInstanceSliceCount}g.{math.ceil(sizes.memorySizeMB / 1024)}gb"


def _power_limit_w(nvml: Any, whole: Any) -> int | str:
    """What the driver holds the GPU to, whoever set it; boards without such a limit say so."""
    for query in ("nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPowerManagementLimit"):
        limit_mw = stable(nvml, "power_limit_w", query, whole)
        if limit_mw != NOT_SUPPORTED:
            return round(float(limit_mw) / 1000)
    return NOT_SUPPORTED


def _recorded(nvml: Any, whole: Any) -> dict[str, Any]:
    """None where the driver does not say, or not to this user."""
    facts = {fact: optional(nvml, query, whole) for fact, query in _RECORDED.items()}
    # Current and pending.
    facts["ecc"] = facts["ecc"] and facts["ecc"][0]
    for name, clock in _CLOCKS.items():
        facts[f"{name}_clock_max_mhz"] = optional(nvml, "nvmlDeviceGetMaxClockInfo", whole, clock)
        facts[f"{name}_clock_application_mhz"] = optional(nvml, "nvmlDeviceGetApplicationsClock", whole, clock)
    return facts


def _joined(values: Iterable[Any]) -> Any:
    """The value that all GPUs share, or theirs in order as one text."""
    found = list(values)
    return found[0] if len(set(found)) == 1 else ", ".join(map(str, found))
