"""What `tokgate doctor` checks of GPUs: is there a driver that the wheels can use, is vLLM there, is anybody on them.

It warns where a GPU could not be measured, since the CPUs of the same host can; imports neither torch nor vLLM.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from tokgate.errors import MeasurementError, NoDeviceError, TokgateError
from tokgate.machine import lock
from tokgate.machine.check import Check
from tokgate.machine.files import REAL_ROOT
from tokgate.machine.gpuprocesses import foreign_now
from tokgate.machine.gpustack import LEAST_CAPABILITY, Stack, no_vllm, stack_for, update_driver
from tokgate.machine.nvml import NO_GPU, Device, driver_seen, driver_session, optional, visible_devices

# What is in use of a GPU on which nothing runs: the driver's own, up to 1 GB with ECC on an H200.
_IDLE_BYTES = 1 << 30


def gpu_checks(root: Path = REAL_ROOT, lock_folder: Path | None = None, nvml: Any = None) -> list[Check]:
    """One line where there is no GPU; else driver, software, and each GPU that the environment shows."""
    try:
        with driver_session(nvml, root) as library:
            devices = visible_devices(library, os.environ)
            if not devices:
                return [Check("gpu", "ok", "none is visible (CUDA_VISIBLE_DEVICES is empty)")]
            return [*_software(library, devices), *_gpus(library, devices, root, lock_folder)]
    except NoDeviceError as error:
        driver = driver_seen(root)
        return [Check("gpu", "warn", driver, str(error)) if driver else Check("gpu", "ok", NO_GPU)]
    except TokgateError as error:
        return [Check("gpu", "warn", "which one to use is not clear", str(error))]


def torch_cuda(torch_version_file: str) -> str | None:
    """The CUDA version that a torch was built for, from its torch/version.py; None where it is a build for CPUs.

    The wheels on the package index say it nowhere else: only those of PyTorch's own index have +cu130 in their
    version.
    """
    found = re.search(r"^cuda\b[^=\n]*= *'([\d.]+)'", torch_version_file, re.MULTILINE)
    return found[1] if found else None


def _software(library: Any, devices: list[Device]) -> Iterator[Check]:
    driver = str(optional(library, "nvmlSystemGetDriverVersion"))
    number = optional(library, "nvmlSystemGetCudaDriverVersion") or 0
    cuda = f"{number // 1000}.{number % 1000 // 10}"
    stack = stack_for(driver) if driver[:1].isdigit() else None
    oldest = min((_capability(library, device) for device in devices), default=LEAST_CAPABILITY)
    yield _driver(driver, cuda, stack, oldest)
    yield _torch(cuda, stack)
    yield _vllm(stack)


def _driver(driver: str, cuda: str, stack: Stack | None, capability: tuple[int, ...]) -> Check:
    seen = f"{driver}, runs CUDA up to {cuda}"
    if refusal := no_vllm(capability):
        return Check("gpu driver", "warn", seen, refusal)
    if stack is None:
        return Check("gpu driver", "warn", seen, f"no current vLLM runs on it: {update_driver()}")
    return Check("gpu driver", "ok", f"{seen}: {stack.requirements} fits (vLLM {stack.vllm}, CUDA {stack.cuda})")


def _torch(cuda: str, stack: Stack | None) -> Check:
    name = "torch for CUDA"
    install = _install(stack)
    try:
        version = metadata.version("torch")
        text = Path(str(metadata.distribution("torch").locate_file("torch/version.py"))).read_text("utf-8")
    except (metadata.PackageNotFoundError, OSError):
        return Check(name, "warn", "torch is not installed", install)
    built = torch_cuda(text)
    if built is None:
        return Check(name, "warn", f"{version} is a build for CPUs", install)
    seen = f"{version}, built for CUDA {built}"
    if int(built.partition(".")[0]) > int(cuda.partition(".")[0]):
        return Check(name, "warn", f"{seen}; the driver runs up to {cuda}", install)
    return Check(name, "ok", seen)


def _vllm(stack: Stack | None) -> Check:
    name = "vllm for the driver"
    try:
        version = metadata.version("vllm")
    except metadata.PackageNotFoundError:
        return Check(name, "warn", "not installed", _install(stack))
    if stack is not None and version.partition("+")[0] != stack.vllm:
        remedy = f"{_install(stack)} (baselines depend on the version)"
        return Check(name, "warn", f"{version}; for this driver it is {stack.vllm}", remedy)
    return Check(name, "ok", version)


def _install(stack: Stack | None) -> str:
    return f"pip install -r {stack.requirements}" if stack else "none fits this driver: update it first"


def _gpus(library: Any, devices: list[Device], root: Path, lock_folder: Path | None) -> Iterator[Check]:
    for number, device in enumerate(devices):
        where = f"gpu {number}"
        yield _gpu(library, device, root, where)
        yield _persistence(library, device, where)
        yield _lock(device, lock_folder or lock.lock_folder(), where)


def _gpu(library: Any, device: Device, root: Path, where: str) -> Check:
    """Its size, who is on it, and whether it corrects errors of memory (which costs some bandwidth on a T4)."""
    memory = optional(library, "nvmlDeviceGetMemoryInfo", device.handle)
    ecc = optional(library, "nvmlDeviceGetEccMode", device.whole)
    facts = [str(optional(library, "nvmlDeviceGetName", device.handle))]
    facts += [f"{memory.total / 1e9:.1f} GB, {memory.used / 1e9:.1f} GB in use"] if memory else []
    facts += [f"ECC {'on' if ecc[0] else 'off'}"] if ecc else []
    others = foreign_now(library, device, root)
    if others:
        named = ", ".join(f"{other.name} pid {other.pid}" for other in others)
        return Check(where, "warn", ", ".join(facts), f"stop what is on it: {named}")
    if memory and memory.used > _IDLE_BYTES:
        remedy = (
            "somebody holds its memory who cannot be seen from here: another container, or a process of another user"
        )
        return Check(where, "warn", ", ".join(facts), remedy)
    return Check(where, "ok", ", ".join(facts))


def _persistence(library: Any, device: Device, where: str) -> Check:
    mode = optional(library, "nvmlDeviceGetPersistenceMode", device.whole)
    name = f"{where} persistence"
    if mode == 0:
        return Check(name, "warn", "off: each launch starts the driver anew", "sudo nvidia-smi -pm 1")
    return Check(name, "ok", "not shown" if mode is None else "on")


def _lock(device: Device, folder: Path, where: str) -> Check:
    name = f"{where} lock"
    # Of its claims the first is its own; a slice's GPU and the host's CPUs come after it.
    try:
        held = lock.holder(lock.gpu_claims(device.uuid)[0].device, folder)
    except MeasurementError as error:
        return Check(name, "fail", str(error), f"repair {folder}")
    if held is None:
        return Check(name, "ok", "free")
    return Check(name, "warn", f"held by {held}", "let that measurement end first")


def _capability(library: Any, device: Device) -> tuple[int, ...]:
    found = optional(library, "nvmlDeviceGetCudaComputeCapability", device.whole)
    return LEAST_CAPABILITY if found is None else tuple(found)
