"""The CPUs this process may use: its affinity, and its control group's quota. Standard library alone."""

from __future__ import annotations

import os
from pathlib import Path

from tokgate.machine import cgroup
from tokgate.machine.files import REAL_ROOT, cpu_list, read_table, read_text


def usable_cpus(root: Path = REAL_ROOT) -> frozenset[int]:
    """The CPUs in this thread's affinity; in a recorded tree those allowed and online."""
    if root == REAL_ROOT:
        return frozenset(os.sched_getaffinity(0))
    allowed = cpu_list(read_table(root, "proc/self/status").get("Cpus_allowed_list", ""))
    online = cpu_list(read_text(root, "sys/devices/system/cpu/online") or "")
    return (allowed & online if allowed and online else allowed | online) or frozenset({0})


def cpu_quota(root: Path = REAL_ROOT) -> float | None:
    """CPUs' worth of time that the control groups allow; None where they set no limit."""
    return cgroup.cpu_quota(root)


def usable_cores(root: Path = REAL_ROOT) -> int:
    """How many threads can run at once: the affinity, cut to the quota, at least 1."""
    cpus = len(usable_cpus(root))
    quota = cpu_quota(root)
    return cpus if quota is None else max(1, min(cpus, int(quota)))


def sibling_cpus(cpu: int, root: Path = REAL_ROOT) -> frozenset[int]:
    """The CPUs that are threads of one core with `cpu`, itself among them."""
    siblings = read_text(root, f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    return cpu_list(siblings or "") | {cpu}
