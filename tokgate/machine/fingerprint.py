"""Which machine this is: an id from stable facts, those facts, and what else is worth recording.

`id` names the folder of baselines, `stable` is what must agree with a baseline's, `recorded` explains a
change. Host name, clocks and bogomips are in none that counts: they differ between equal machines.
"""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from tokgate.machine import cgroup, memory
from tokgate.machine.cpumodel import cpu_entries, first_cpu, int8_flags, isa, model_name, slug
from tokgate.machine.cpus import cpu_quota, usable_cores, usable_cpus
from tokgate.machine.files import REAL_ROOT, bytes_of, cpu_list, read_int, read_table, read_text

__all__ = ["fingerprint", "isa", "memory_class_gib", "model_name", "software"]

_CLASSES_GIB = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)
_CPUFREQ = "sys/devices/system/cpu"
_VIRTUAL_MAKERS = re.compile(r"QEMU|KVM|VMware|VirtualBox|innotek|Xen|Virtual Machine|Amazon EC2|Google Compute", re.I)
_CONTAINER = re.compile(r"docker|kubepods|containerd|libpod|lxc|crio|garden", re.I)


def fingerprint(root: Path = REAL_ROOT) -> dict[str, Any]:
    """{"id", "kind": "cpu", "stable": flat facts, "recorded": the rest}, fit for JSON."""
    stable = _stable(root)
    name = slug(model_name(root)) or "cpu"
    return {
        "id": f"{name}-{stable['usable_cores']}c-{stable['memory_class_gib']}g",
        "kind": "cpu",
        "stable": stable,
        "recorded": _recorded(root),
    }


def memory_class_gib(size_bytes: int) -> int:
    """The nearest usual size (by ratio): the kernel keeps some of 16 GiB, so 15.3 GiB and 16 are both 16."""
    size_gib = max(size_bytes / 2**30, 0.1)
    above = [size for power in range(10, 16) for size in (1 << power, 3 << (power - 1))]
    classes: tuple[int, ...] = (*_CLASSES_GIB, *above)
    return min(classes, key=lambda gib: abs(math.log(gib / size_gib)))


def software(packages: Iterable[str]) -> dict[str, str]:
    """Versions of Python, kernel, libc and of those `packages` that are installed; imports none of them."""
    versions = {"python": platform.python_version(), "kernel": platform.release(), "libc": _libc()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _stable(root: Path) -> dict[str, Any]:
    cpu = first_cpu(root)
    return {
        "cpu_name": model_name(root),
        "cpu_vendor": cpu.get("vendor_id") or cpu.get("cpu implementer", ""),
        "cpu_family": cpu.get("cpu family") or cpu.get("cpu architecture", ""),
        "cpu_model": cpu.get("model") or cpu.get("cpu part", ""),
        "cpu_stepping": cpu.get("stepping") or f"{cpu.get('cpu variant', '')}.{cpu.get('cpu revision', '')}".strip("."),
        "int8_flags": " ".join(int8_flags(root)),
        "usable_cores": usable_cores(root),
        "threads_per_core": _threads_per_core(root),
        "memory_class_gib": memory_class_gib(memory.total_bytes(root)),
        "hypervisor": _under_hypervisor(root),
    }


def _recorded(root: Path) -> dict[str, Any]:
    cpu = first_cpu(root)
    meminfo = read_table(root, "proc/meminfo")
    cpus = usable_cpus(root)
    return {
        "kernel": read_text(root, "proc/sys/kernel/osrelease") or "",
        "microcode": cpu.get("microcode", ""),
        "governor": governor(root),
        "turbo": turbo(root),
        "cpus": sorted(cpus),
        "machine_cpus": len(cpu_entries(root)),
        "numa_nodes": len(cpu_list(read_text(root, "sys/devices/system/node/online") or "0")),
        "memory_bytes": bytes_of(meminfo, "MemTotal") or 0,
        "swap_bytes": bytes_of(meminfo, "SwapTotal") or 0,
        "cgroup_memory_bytes": cgroup.memory_limit_bytes(root),
        "cgroup_cpus": cpu_quota(root),
        "l3_bytes": l3_bytes(root),
        "thp": thp_mode(root),
        "container": in_container(root),
    }


def governor(root: Path = REAL_ROOT) -> str:
    """The frequency governors of the usable CPUs; '' where the machine shows none (most virtual ones)."""
    found = {read_text(root, f"{_CPUFREQ}/cpu{cpu}/cpufreq/scaling_governor") for cpu in usable_cpus(root)}
    return ",".join(sorted(name for name in found if name))


def turbo(root: Path = REAL_ROOT) -> str:
    """'on', 'off', or '' where the machine does not say."""
    no_turbo = read_int(root, f"{_CPUFREQ}/intel_pstate/no_turbo")
    if no_turbo is not None:
        return "off" if no_turbo else "on"
    boost = read_int(root, f"{_CPUFREQ}/cpufreq/boost")
    return "" if boost is None else "on" if boost else "off"


def thp_mode(root: Path = REAL_ROOT) -> str:
    """The mode of transparent huge pages that stands in brackets; '' where there is none."""
    chosen = re.search(r"\[(\w+)\]", read_text(root, "sys/kernel/mm/transparent_hugepage/enabled") or "")
    return chosen.group(1) if chosen else ""


def in_container(root: Path = REAL_ROOT) -> bool:
    marks = (root / ".dockerenv").exists() or (root / "run/.containerenv").exists()
    return marks or bool(_CONTAINER.search(read_text(root, "proc/self/cgroup") or ""))


def l3_bytes(root: Path = REAL_ROOT) -> int | None:
    """The size of one L3 cache; None where the machine does not say."""
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    for index in range(8):
        cache = f"{_CPUFREQ}/cpu{min(usable_cpus(root))}/cache/index{index}"
        size = read_text(root, f"{cache}/size") or ""
        if read_text(root, f"{cache}/level") == "3" and size[:-1].isdigit():
            return int(size[:-1]) * units.get(size[-1], 1)
    return None


def _threads_per_core(root: Path) -> int:
    """Hardware threads of a core that are visible; by topology, else by the counts of /proc/cpuinfo."""
    cpu = f"{_CPUFREQ}/cpu{min(usable_cpus(root))}/topology"
    siblings = cpu_list(read_text(root, f"{cpu}/thread_siblings_list") or "")
    if siblings:
        return len(siblings)
    fields = first_cpu(root)
    try:
        return max(1, int(fields["siblings"]) // int(fields["cpu cores"]))
    except (KeyError, ValueError, ZeroDivisionError):
        return 1


def _under_hypervisor(root: Path) -> bool:
    if "hypervisor" in first_cpu(root).get("flags", "").split() or read_text(root, "sys/hypervisor/type"):
        return True
    makers = [read_text(root, f"sys/class/dmi/id/{name}") or "" for name in ("sys_vendor", "product_name")]
    return bool(_VIRTUAL_MAKERS.search(" ".join(makers))) and not makers[1].endswith(".metal")


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return " ".join(platform.libc_ver()).strip() or "unknown"
