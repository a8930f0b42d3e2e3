"""The NVIDIA driver's library (NVML), and the devices that CUDA shows of those it lists.

nvidia-ml-py (import name pynvml) is optional, and imported when a GPU is asked for. NVML sees what nvidia-smi
sees; what CUDA shows an engine of that is up to CUDA_VISIBLE_DEVICES, so the environment is passed in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokgate.errors import InputError, MeasurementError, NoDeviceError
from tokgate.machine.files import REAL_ROOT, read_text

NOT_SUPPORTED = "not supported"
NO_GPU = "no GPU"
CHOOSE = "choose with CUDA_VISIBLE_DEVICES (nvidia-smi -L lists the UUIDs)"
_DRIVER_FILE = "proc/driver/nvidia/version"
_DRIVER_DEVICE = "dev/nvidiactl"
_LOOK_AT = (
    "expected a GPU and its driver; check that nvidia-smi answers, and in a container that it was started with the "
    "GPUs (--gpus)"
)


@dataclass(frozen=True)
class Device:
    """NVML's handles: of the device, and of the GPU it is a slice of (its own where it is whole)."""

    uuid: str
    handle: Any
    whole: Any
    sliced: bool = False


@contextmanager
def driver_session(nvml: Any = None, root: Path = REAL_ROOT) -> Iterator[Any]:
    """The library, ready to be asked; `nvml` stands in for it. Raises NoDeviceError without it or a driver."""
    library = nvml if nvml is not None else _library(root)
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        seen = "" if driver_seen(root) else f"{NO_GPU}: "
        raise NoDeviceError(f"{seen}the NVIDIA driver cannot be reached ({error}): {_LOOK_AT}") from None
    try:
        yield library
    finally:
        library.nvmlShutdown()


def driver_seen(root: Path = REAL_ROOT) -> str | None:
    """What the kernel below `root` says of an NVIDIA driver, in a line; None where it has none."""
    said = read_text(root, _DRIVER_FILE)
    if said:
        return said.splitlines()[0]
    return "a driver that does not answer" if (root / _DRIVER_DEVICE).exists() else None


def optional(nvml: Any, query: str, *args: Any) -> Any:
    """The answer; None where the driver refuses, or an older library has no such query."""
    try:
        return _text(getattr(nvml, query)(*args))
    except (nvml.NVMLError, AttributeError):
        return None


def stable(nvml: Any, fact: str, query: str, *args: Any) -> Any:
    """The answer, which identity depends on: NOT_SUPPORTED is one, not being able to read it is none.

    Raises MeasurementError naming `fact`.
    """
    try:
        return _text(getattr(nvml, query)(*args))
    except nvml.NVMLError as error:
        if error.value == nvml.NVML_ERROR_NOT_SUPPORTED:
            return NOT_SUPPORTED
        raise MeasurementError(
            f"the GPU's {fact} cannot be read ({error}): without it this machine cannot be told from others; "
            "run where nvidia-smi -q shows it"
        ) from None


def visible_devices(nvml: Any, environ: Mapping[str, str]) -> list[Device]:
    """What CUDA enumerates, by its rules, but for one: CUDA drops what follows a wrong entry without a word.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables. Raises InputError for
    an entry that names no device, or not one alone.
    """
    wholes = _wholes(nvml)
    chosen = environ.get("CUDA_VISIBLE_DEVICES")
    entries = [str(index) for index in range(len(wholes))] if chosen is None else chosen.split(",")
    names = {stable(nvml, "gpu_name", "nvmlDeviceGetName", device.handle) for device in wholes}
    numbered = len(names) < 2 or environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    found: list[Device] = []
    for entry in map(str.strip, entries):
        # Nothing, or a negative number, ends the list.
        if not entry or entry.startswith("-"):
            break
        if entry.isdecimal() and not numbered:
            raise InputError(
                f"this host has different GPUs ({', '.join(sorted(names))}), and CUDA numbers the fastest first, which "
                "the driver does not tell: name them by UUID in CUDA_VISIBLE_DEVICES, or set "
                "CUDA_DEVICE_ORDER=PCI_BUS_ID"
            )
        device = _named(nvml, entry, wholes)
        if any(device.uuid == other.uuid for other in found):
            raise InputError(f"CUDA_VISIBLE_DEVICES={chosen!r} names {device.uuid} twice: name each GPU once")
        found.append(device)
    return found


def _library(root: Path) -> Any:
    try:
        import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional, and it has no types
    except ImportError:
        if driver_seen(root) is None:
            # What to install is no help to a host that has nothing to be asked.
            raise NoDeviceError(f"{NO_GPU}: this host has no NVIDIA driver: {_LOOK_AT}") from None
        raise NoDeviceError(
            "nvidia-ml-py is not installed, so GPUs cannot be told apart: pip install nvidia-ml-py"
        ) from None
    return pynvml


def _text(value: Any) -> Any:
    """Older libraries give bytes."""
    return value.decode() if isinstance(value, bytes) else value


def _wholes(nvml: Any) -> list[Device]:
    """Every GPU in the order of the PCI bus; those this user may not touch are not CUDA's either."""
    count = stable(nvml, "number", "nvmlDeviceGetCount")
    handles = [optional(nvml, "nvmlDeviceGetHandleByIndex", index) for index in range(count)]
    return [Device(_uuid(nvml, handle), handle, handle) for handle in handles if handle is not None]


def _slices(nvml: Any, whole: Device) -> list[Device]:
    """The MIG slices of a GPU; none unless it is in MIG mode."""
    if not _mig_enabled(nvml, whole):
        return []
    numbers = range(stable(nvml, "mig", "nvmlDeviceGetMaxMigDeviceCount", whole.handle))
    # Numbers that no slice has are answered by an error.
    handles = [optional(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", whole.handle, number) for number in numbers]
    return [Device(_uuid(nvml, handle), handle, whole.handle, sliced=True) for handle in handles if handle is not None]


def _named(nvml: Any, entry: str, wholes: Sequence[Device]) -> Device:
    """The device of one entry: an index, or a UUID, or as much of its beginning as tells it from others."""
    if entry.startswith("MIG-"):
        known = [device for whole in wholes for device in _slices(nvml, whole)]
        fits = [device for device in known if device.uuid.startswith(entry)]
    elif entry.isdecimal():
        known, fits = list(wholes), list(wholes[int(entry) : int(entry) + 1])
    else:
        known = list(wholes)
        fits = [device for device in known if entry.startswith("GPU-") and device.uuid.startswith(entry)]
    # A whole UUID is its own: an older driver's MIG-.../1/1 also begins MIG-.../1/10.
    fits = [device for device in fits if device.uuid == entry] or fits
    if len(fits) != 1:
        seen = ", ".join(device.uuid for device in known) or "none"
        matches = f"fits {len(fits)} of them" if fits else "names none of them"
        raise InputError(f"CUDA_VISIBLE_DEVICES entry {entry!r}: here are {seen}, and it {matches}; {CHOOSE}")
    return fits[0] if fits[0].sliced else _whole_or_slice(nvml, fits[0])


def _whole_or_slice(nvml: Any, whole: Device) -> Device:
    """A GPU in MIG mode cannot be used whole: CUDA takes its first slice, which is plain only if it has one."""
    if not _mig_enabled(nvml, whole):
        return whole
    slices = _slices(nvml, whole)
    if not slices:
        raise MeasurementError(f"{whole.uuid} is in MIG mode and has no slice: create one (nvidia-smi mig -cgi ... -C)")
    if len(slices) > 1:
        listed = ", ".join(device.uuid for device in slices)
        raise InputError(f"{whole.uuid} is in MIG mode: name one of its slices in CUDA_VISIBLE_DEVICES: {listed}")
    return slices[0]


def _mig_enabled(nvml: Any, whole: Device) -> bool:
    modes = stable(nvml, "mig", "nvmlDeviceGetMigMode", whole.handle)
    return bool(modes != NOT_SUPPORTED and modes[0])


def _uuid(nvml: Any, handle: Any) -> str:
    return str(stable(nvml, "uuid", "nvmlDeviceGetUUID", handle))
