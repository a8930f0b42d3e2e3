"""What `tokgate doctor` checks: is this machine set up, and quiet enough, to measure on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from tokgate.errors import MeasurementError
from tokgate.machine import fingerprint, lock, memory
from tokgate.machine.check import Check, Status
from tokgate.machine.cpus import cpu_quota, usable_cores, usable_cpus
from tokgate.machine.files import REAL_ROOT, bytes_of, read_table, read_text
from tokgate.machine.gpudoctor import gpu_checks
from tokgate.machine.gpustack import installed_stack
from tokgate.machine.telemetry import DisturbanceLimits, RoundWatch

_GB = 10**9
# What the 0.5B model needs: exporting and quantising it; measuring it in FP32; both kept in the cache.
_BUILD_BYTES = 10 * _GB
_MEASURE_BYTES = int(3.5 * _GB)
_CACHE_BYTES = 6 * _GB
_PINNED = (
    "torch",
    "transformers",
    "optimum",
    "optimum-onnx",
    "onnx",
    "onnxruntime",
    "numpy",
    "pytest-benchmark",
)
# Of an environment that measures GPUs; its vLLM is held against the driver.
_PINNED_GPU = ("torch", "transformers", "bitsandbytes", "nvidia-ml-py", "numpy", "pytest-benchmark")
_ROOT = Path(__file__).resolve().parents[2]
_PROVIDERS = "import json, onnxruntime; print(json.dumps(onnxruntime.get_available_providers()))"
_PROVIDERS_TIMEOUT_S = 30.0


def checks(
    root: Path = REAL_ROOT,
    *,
    requirements: Path | None = None,
    cache_folder: Path | None = None,
    lock_folder: Path | None = None,
    sample_s: float = 1.0,
) -> list[Check]:
    """All checks, in the order to show them. Takes `sample_s` plus a few seconds, and imports no engine.

    An environment with vLLM is one that measures GPUs, and held against those requirements.
    """
    stack = installed_stack()
    pinned = requirements or _ROOT / (stack.requirements if stack else "requirements-cpu.txt")
    return [
        _python(sys.version_info[:2]),
        *_packages(pinned, _PINNED_GPU if stack else _PINNED),
        *([] if stack else [_providers()]),
        _cpu(root),
        _governor(root),
        _turbo(root),
        _quota(root),
        _memory(root),
        _swap(root),
        _huge_pages(root),
        _load(root, sample_s),
        _lock(root, lock_folder),
        _disk(cache_folder or Path.home() / ".cache"),
        *gpu_checks(root, lock_folder),
    ]


def _python(version: tuple[int, ...]) -> Check:
    seen = ".".join(map(str, version))
    if (3, 10) <= version <= (3, 12):
        return Check("python", "ok", seen)
    return Check("python", "fail", seen, "use Python 3.10, 3.11 or 3.12")


def _packages(requirements: Path, names: Iterable[str]) -> Iterator[Check]:
    """Installed versions against the pins, where the file is at hand (a checkout, not an installed wheel)."""
    pins = read_pins(requirements)
    for name in names:
        pin = pins.get(name)
        try:
            # Builds for one device carry a local part: 2.13.0+cpu is 2.13.0.
            seen = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Check(name, "fail" if pin else "warn", "not installed", f"pip install -r {requirements.name}")
            continue
        if pin and seen.partition("+")[0] != pin:
            remedy = f"pip install -r {requirements.name} (baselines depend on the version)"
            yield Check(name, "warn", f"{seen}, pinned {pin}", remedy)
        else:
            yield Check(name, "ok", seen if pin else f"{seen} (no pin found)")


def read_pins(requirements: Path) -> dict[str, str]:
    """name -> version of the 'name==version' lines for this Python; empty where there is no file."""
    from packaging.requirements import InvalidRequirement, Requirement

    pins: dict[str, str] = {}
    text = requirements.read_text(encoding="utf-8") if requirements.is_file() else ""
    for line in text.splitlines():
        try:
            requirement = Requirement(line.partition("#")[0].strip())
        except InvalidRequirement:
            continue
        exact = [spec.version for spec in requirement.specifier if spec.operator == "=="]
        if exact and (requirement.marker is None or requirement.marker.evaluate()):
            pins[requirement.name] = exact[0]
    return pins


def _providers() -> Check:
    name = "onnxruntime providers"
    ran = _output([sys.executable, "-c", _PROVIDERS], _PROVIDERS_TIMEOUT_S)
    try:
        providers = list(json.loads(ran or ""))
    except ValueError:
        return Check(name, "fail", "onnxruntime cannot be imported", "pip install -r requirements-cpu.txt")
    fine = "CPUExecutionProvider" in providers
    return Check(name, "ok" if fine else "fail", ", ".join(providers), "" if fine else "reinstall onnxruntime")


def _cpu(root: Path) -> Check:
    name = fingerprint.model_name(root)
    seen = f"{name}, {usable_cores(root)} usable cores"
    try:
        return Check("cpu", "ok", f"{seen}, INT8 by {fingerprint.isa(root)}")
    except MeasurementError as error:
        return Check("cpu", "warn", seen, str(error))


def _governor(root: Path) -> Check:
    seen = fingerprint.governor(root)
    if seen in ("", "performance"):
        return Check("governor", "ok", seen or "none shown (a virtual machine, as a rule)")
    return Check("governor", "warn", seen, "sudo cpupower frequency-set -g performance")


def _turbo(root: Path) -> Check:
    seen = fingerprint.turbo(root)
    if seen == "on":
        return Check("turbo", "ok", "on: clocks depend on temperature; turn it off where rows swing with it")
    return Check("turbo", "ok", seen or "not shown")


def _quota(root: Path) -> Check:
    quota, cpus = cpu_quota(root), len(usable_cpus(root))
    if quota is None or quota >= cpus:
        return Check("cgroup quota", "ok", "none" if quota is None else f"{quota:g} CPUs for {cpus}")
    remedy = f"pin to CPUs instead (--cpuset-cpus): quotas throttle; now {usable_cores(root)} threads are used"
    return Check("cgroup quota", "warn", f"{quota:g} CPUs of {cpus}", remedy)


def _memory(root: Path) -> Check:
    free = memory.available_bytes(root)
    seen = f"{free / _GB:.1f} GB free"
    if free >= _BUILD_BYTES:
        return Check("memory", "ok", seen)
    if free >= _MEASURE_BYTES:
        remedy = f"building the 0.5B model takes {_BUILD_BYTES / _GB:g} GB: free some, or build elsewhere"
        return Check("memory", "warn", seen, remedy)
    remedy = f"measuring 0.5B in FP32 takes {_MEASURE_BYTES / _GB:g} GB: free some"
    return Check("memory", "fail", seen, remedy)


def _swap(root: Path) -> Check:
    table = read_table(root, "proc/meminfo")
    total = bytes_of(table, "SwapTotal") or 0
    used = total - (bytes_of(table, "SwapFree") or 0)
    if used > 0:
        return Check("swap", "warn", f"{used / _GB:.2f} of {total / _GB:.2f} GB used", "sudo swapoff -a")
    return Check("swap", "ok", f"{total / _GB:.2f} GB, none used" if total else "none")


def _huge_pages(root: Path) -> Check:
    seen = fingerprint.thp_mode(root)
    if seen == "never":
        remedy = "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled"
        return Check("huge pages", "warn", seen, remedy)
    return Check("huge pages", "ok", seen or "not shown")


def _load(root: Path, sample_s: float) -> Check:
    watch = RoundWatch(root=root)
    watch.start()
    threading.Event().wait(sample_s)
    use = watch.stop()
    average = " ".join((read_text(root, "proc/loadavg") or "?").split()[:3])
    busiest = "".join(f"; {offender.name} pid {offender.pid}" for offender in use.offenders[:1])
    seen = f"{use.foreign_share:.0%} of the cores in use by others{busiest}; load average {average}"
    if use.foreign_share <= DisturbanceLimits().foreign_share:
        return Check("foreign load", "ok", seen)
    return Check("foreign load", "warn", seen, "stop what runs there, or measure at a quieter time")


def _lock(root: Path, folder: Path | None) -> Check:
    place = folder or lock.lock_folder()
    try:
        lock.check_folder(place)
        taken = lock.holder(lock.cpu_device_name(root), place)
    except MeasurementError as error:
        return Check("device lock", "fail", str(error), f"repair {place}")
    if taken is None:
        return Check("device lock", "ok", f"free ({place})")
    return Check("device lock", "warn", f"held by {taken}", "let that measurement end first")


def _disk(folder: Path) -> Check:
    at = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(at).free
    seen = f"{free / _GB:.1f} GB free in {folder}"
    if free >= _CACHE_BYTES:
        return Check("disk", "ok", seen)
    return Check("disk", "warn", seen, f"the built 0.5B model takes up to {_CACHE_BYTES / _GB:g} GB: free some")


def _output(command: list[str], timeout_s: float) -> str | None:
    """What the command printed; None where it is missing, fails or hangs."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.strip() if ran.returncode == 0 else None


def worst(found: Iterable[Check]) -> Status:
    """'fail' if any failed, else 'warn' if any warns, else 'ok'."""
    statuses = {check.status for check in found}
    return "fail" if "fail" in statuses else "warn" if "warn" in statuses else "ok"
