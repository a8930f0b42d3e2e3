"""The control groups this process is in, and the limits they set. Standard library alone.

A limit anywhere on the way from the process's own group up to the mount point holds, so each question is
asked of all of them. What lies above the mount point of a container cannot be seen from inside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from tokgate.machine.files import read_int, read_table, read_text

# Version 1 writes "no limit" as the largest multiple of the page size below 2**63.
_V1_UNLIMITED = 1 << 60


@dataclass(frozen=True)
class Hierarchy:
    """Where one controller's files lie: the process's own group first, then its ancestors."""

    version: Literal[1, 2]
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class _Mount:
    group: str
    point: str
    kind: str
    controllers: frozenset[str]


def hierarchy(controller: str, root: Path) -> Hierarchy | None:
    """The hierarchy that holds `controller` ('cpu', 'memory') for this process; None where there is none."""
    groups = _groups(root)
    mounts = _mounts(root)
    if controller in groups:
        for mount in mounts:
            if mount.kind == "cgroup" and controller in mount.controllers:
                return Hierarchy(1, _folders(mount, groups[controller], root))
    for mount in mounts:
        if mount.kind == "cgroup2":
            return Hierarchy(2, _folders(mount, groups.get("", "/"), root))
    return None


def cpu_quota(root: Path) -> float | None:
    """How many CPUs' worth of time the groups allow; None where they set no limit."""
    found = hierarchy("cpu", root)
    quotas = [_quota(folder, found.version) for folder in found.folders] if found else []
    return min((quota for quota in quotas if quota is not None), default=None)


def memory_limit_bytes(root: Path) -> int | None:
    """The tightest memory limit of the groups; None where they set none."""
    return min((limit for limit, _ in _memory(root)), default=None)


def memory_headroom_bytes(root: Path) -> int | None:
    """What the groups leave this process. Inactive page cache counts as free: the kernel drops it first."""
    return min((max(0, limit - used) for limit, used in _memory(root)), default=None)


def throttled_s(found: Hierarchy | None) -> float:
    """Seconds of CPU time that the groups of the 'cpu' hierarchy have withheld so far (the worst of them)."""
    if found is None:
        return 0.0
    key, unit_s = ("throttled_usec", 1e-6) if found.version == 2 else ("throttled_time", 1e-9)
    withheld = [read_table(folder, "cpu.stat").get(key, "0") for folder in found.folders]
    return max((int(value) * unit_s for value in withheld if value.isdigit()), default=0.0)


def _groups(root: Path) -> dict[str, str]:
    """Controller -> group path; version 2 stands under ''."""
    groups: dict[str, str] = {}
    for line in (read_text(root, "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))
    return groups


def _mounts(root: Path) -> list[_Mount]:
    mounts = []
    for line in (read_text(root, "proc/self/mountinfo") or "").splitlines():
        left, _, right = line.partition(" - ")
        fields, tail = left.split(), right.split()
        if len(fields) >= 5 and len(tail) >= 3 and tail[0] in ("cgroup", "cgroup2"):
            mounts.append(_Mount(fields[3], fields[4], tail[0], frozenset(tail[2].split(","))))
    return mounts


def _folders(mount: _Mount, group: str, root: Path) -> tuple[Path, ...]:
    """From the group up to the mount point. A container may mount its own group, or see paths of the host."""
    point = root / mount.point.lstrip("/")
    path = PurePosixPath(group)
    inside = path.relative_to(mount.group) if path.is_relative_to(mount.group) else PurePosixPath()
    if ".." in inside.parts or not (point / inside).is_dir():
        inside = PurePosixPath()
    return tuple(point / step for step in (inside, *inside.parents))


def _quota(folder: Path, version: int) -> float | None:
    if version == 2:
        quota, _, period = (read_text(folder, "cpu.max") or "max 100000").partition(" ")
        return int(quota) / int(period or 100000) if quota.isdigit() else None
    quota_us, period_us = read_int(folder, "cpu.cfs_quota_us"), read_int(folder, "cpu.cfs_period_us")
    return quota_us / period_us if quota_us and period_us and quota_us > 0 else None


def _memory(root: Path) -> list[tuple[int, int]]:
    """(limit, used) of each group with a limit, in bytes."""
    found = hierarchy("memory", root)
    if found is None:
        return []
    v2 = found.version == 2
    limit_file, used_file, cache_key = (
        ("memory.max", "memory.current", "inactive_file")
        if v2
        else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    )
    groups = []
    for folder in found.folders:
        limit = read_int(folder, limit_file)
        if limit is not None and limit < _V1_UNLIMITED:
            cache = int(read_table(folder, "memory.stat").get(cache_key, "0"))
            groups.append((limit, max(0, (read_int(folder, used_file) or 0) - cache)))
    return groups
