"""Which wheels a GPU host runs: by its driver those of a requirements file, by its compute capability vLLM's at all."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tokgate.errors import NoDeviceError
from tokgate.machine.files import REAL_ROOT
from tokgate.machine.nvml import driver_seen, driver_session, optional

# Turing. vLLM 0.19 and later, and the builds of torch that they want, leave out what came before: V100 is 7.0.
LEAST_CAPABILITY = (7, 5)


@dataclass(frozen=True)
class Stack:
    """A requirements file, and the CUDA version and the driver that its wheels need."""

    requirements: str
    vllm: str
    cuda: str
    least_driver: int


# The newest first. Within CUDA 12 any driver from 525 on runs a newer minor version
# (https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html).
STACKS = (
    Stack("requirements-gpu.txt", "0.26.0", "13.0", 580),
    Stack("requirements-gpu-cuda12.txt", "0.19.1", "12.8", 525),
)


def stack_for(driver: str) -> Stack | None:
    """The newest stack that a driver such as '535.183.01' runs; None where it is older than all of them."""
    major = int(driver.partition(".")[0])
    return next((stack for stack in STACKS if major >= stack.least_driver), None)


def installed_stack() -> Stack | None:
    """The stack of the vLLM that is installed here, the newest where it is of none; None without vLLM."""
    try:
        version = metadata.version("vllm").partition("+")[0]
    except metadata.PackageNotFoundError:
        return None
    return next((stack for stack in STACKS if stack.vllm == version), STACKS[0])


def driver_version(root: Path = REAL_ROOT, nvml: Any = None) -> str | None:
    """This machine's driver, such as '535.183.01', by NVML or else by its kernel module; None where neither says it."""
    said = None
    with suppress(NoDeviceError), driver_session(nvml, root) as library:
        said = optional(library, "nvmlSystemGetDriverVersion")
    found = re.search(r"\b\d{3,}(\.\d+)+", str(said or driver_seen(root)))
    return found[0] if found else None


def no_vllm(capability: tuple[int, ...]) -> str | None:
    """Why no current vLLM runs on a GPU of this compute capability, such as (7, 0); None where one does."""
    if capability >= LEAST_CAPABILITY:
        return None
    level, least = (".".join(map(str, version)) for version in (capability, LEAST_CAPABILITY))
    return f"no current vLLM runs on compute capability {level} (a V100 has 7.0): it needs {least} or more"


def update_driver() -> str:
    """To what, where `stack_for` has nothing for it."""
    return f"update it to {STACKS[-1].least_driver} or, best, {STACKS[0].least_driver}"
