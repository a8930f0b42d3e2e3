"""Who used the CPUs while a round was measured. Standard library alone.

The clock of /proc/stat ticks (10 ms as a rule), so shares of short rounds are coarse; hence the limits have
a floor in seconds beside the share.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tokgate.machine import cgroup, processes
from tokgate.machine.cpus import usable_cpus
from tokgate.machine.files import REAL_ROOT, read_text
from tokgate.machine.processes import TICK_S, Offender, Process

_LEAST_OFFENCE_S = 0.01


@dataclass(frozen=True)
class RoundUse:
    """The CPUs during one round. `busy_s` is everyone's CPU time on them and what the hypervisor took;
    `own_cpu_s` that of this process, its descendants and whoever the watch counts with them; `cores` how many CPUs
    were watched; `throttled_s` CPU time the control group withheld; swapped pages are the whole machine's.
    """

    wall_s: float
    own_cpu_s: float
    busy_s: float
    steal_s: float
    foreign_s: float
    cores: int
    foreign_share: float
    offenders: tuple[Offender, ...]
    swapped_in_pages: int
    swapped_out_pages: int
    throttled_s: float


@dataclass(frozen=True)
class DisturbanceLimits:
    """Beyond which a round does not count. Foreign load must pass both its share and its floor in seconds."""

    foreign_share: float = 0.05
    foreign_s: float = 0.05
    swapped_pages: int = 64
    throttled_share: float = 0.01


@dataclass(frozen=True)
class CpuTimes:
    """Seconds since boot, summed over the CPUs watched; steal is part of busy."""

    busy_s: float
    steal_s: float


@dataclass(frozen=True)
class _Edge:
    """What is read at the two edges of a round."""

    at_s: float
    cpu: CpuTimes
    own_s: float


class RoundWatch:
    """Watches the CPUs from start() to stop(). The scan of all processes lies outside of the timed part.

    Pass `cpus` where the engine may narrow this thread's affinity after it is loaded. `most_offenders` are
    named. `also`: the pids of processes that are no strangers though this one did not start them, nor what they start.
    """

    def __init__(
        self,
        cpus: frozenset[int] | None = None,
        root: Path = REAL_ROOT,
        most_offenders: int = 3,
        also: frozenset[int] = frozenset(),
    ) -> None:
        self._also = also
        self._cpus = usable_cpus(root) if cpus is None else cpus
        self._root = root
        self._most_offenders = most_offenders
        self._groups = cgroup.hierarchy("cpu", root)
        self._before: dict[int, Process] = {}
        self._edge: _Edge | None = None

    def start(self) -> None:
        self._throttled_s = cgroup.throttled_s(self._groups)
        self._swapped = _swapped_pages(self._root)
        self._before = processes.scan(self._root)
        self._family = self._family_of(self._before)
        cpu, own_s = self._read()
        self._edge = _Edge(time.perf_counter(), cpu, own_s)

    def stop(self) -> RoundUse:
        """Raises RuntimeError when start() was not called."""
        at_s = time.perf_counter()
        if self._edge is None:
            raise RuntimeError("RoundWatch.stop() without start()")
        cpu, own_s = self._read()
        first, self._edge = self._edge, None
        after = processes.scan(self._root)
        family = self._family_of(after)
        wall_s = at_s - first.at_s
        own_s += sum(after[pid].cpu_s for pid in family - self._family)
        own_cpu_s = max(0.0, own_s - first.own_s)
        busy_s = cpu.busy_s - first.cpu.busy_s
        steal_s = cpu.steal_s - first.cpu.steal_s
        foreign_s = max(0.0, busy_s - own_cpu_s)
        swapped = _swapped_pages(self._root)
        return RoundUse(
            wall_s=wall_s,
            own_cpu_s=own_cpu_s,
            busy_s=busy_s,
            steal_s=steal_s,
            foreign_s=foreign_s,
            cores=len(self._cpus),
            foreign_share=foreign_s / (wall_s * len(self._cpus)),
            offenders=self._offenders(after, family | self._family, foreign_s, steal_s),
            swapped_in_pages=swapped[0] - self._swapped[0],
            swapped_out_pages=swapped[1] - self._swapped[1],
            throttled_s=max(0.0, cgroup.throttled_s(self._groups) - self._throttled_s),
        )

    def _family_of(self, listed: Mapping[int, Process]) -> frozenset[int]:
        started = (processes.descendants(listed, pid) for pid in (os.getpid(), *self._also))
        return (self._also & listed.keys()).union(*started)

    def _read(self) -> tuple[CpuTimes, float]:
        """The CPUs' times and the family's. Those who live count by /proc, those who ended by rusage."""
        cpu = cpu_times(read_text(self._root, "proc/stat") or "", self._cpus)
        own_s = sum(
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )
        for pid in self._family:
            process = processes.read_process(self._root, pid)
            own_s += process.cpu_s if process is not None else 0.0
        return cpu, own_s

    def _offenders(
        self, after: dict[int, Process], family: frozenset[int], foreign_s: float, steal_s: float
    ) -> tuple[Offender, ...]:
        mine = family | {os.getpid()}
        used = [
            offender
            for offender in processes.used_between(self._before, after)
            if offender.pid not in mine and offender.cpu_s >= _LEAST_OFFENCE_S
        ]
        found = processes.sharing(self._root, used, self._cpus, self._most_offenders)
        if steal_s >= _LEAST_OFFENCE_S and steal_s > foreign_s / 2:
            found = [Offender("hypervisor (steal)", 0, steal_s), *found]
        return tuple(found[: self._most_offenders])


def cpu_times(stat: str, cpus: frozenset[int]) -> CpuTimes:
    """Sums /proc/stat over `cpus`; over the whole machine where none of them is listed (lxcfs renumbers).

    A line is: user nice system idle iowait irq softirq steal guest guest_nice, in ticks; user holds guest.
    """
    rows: dict[str, list[int]] = {}
    for line in stat.splitlines():
        if not line.startswith("cpu"):
            break
        name, *ticks = line.split()
        rows[name] = [int(tick) for tick in ticks]
    watched = [rows[name] for name in (f"cpu{cpu}" for cpu in cpus) if name in rows] or [rows.get("cpu", [])]
    steal = sum(row[7] for row in watched if len(row) > 7)
    busy = sum(sum(row[:3]) + sum(row[5:8]) for row in watched)
    return CpuTimes(busy * TICK_S, steal * TICK_S)


def disturbance(use: RoundUse, limits: DisturbanceLimits) -> str | None:
    """Why a round cannot be believed: the figure, the limit, and what to do. None if it can."""
    faults = []
    if use.foreign_share > limits.foreign_share and use.foreign_s > limits.foreign_s:
        faults.append(
            f"others took {use.foreign_share:.0%} of the {use.cores} cores (limit"
            f" {limits.foreign_share:.0%}; {_named(use)}): stop them, or measure at a quieter time"
        )
    swapped = use.swapped_in_pages + use.swapped_out_pages
    if swapped > limits.swapped_pages:
        faults.append(
            f"{swapped} pages were swapped (limit {limits.swapped_pages}):"
            " free memory, or choose a smaller model or batch"
        )
    if use.throttled_s > limits.throttled_share * use.wall_s:
        faults.append(
            f"the control group withheld {use.throttled_s:.2f} s of CPU time in {use.wall_s:.2f} s"
            f" (limit {limits.throttled_share:.0%}): raise its CPU quota, or use fewer threads"
        )
    return "; ".join(faults) or None


def _named(use: RoundUse) -> str:
    if not use.offenders:
        return "by none that can be seen from here: another container, or many short processes"
    return ", ".join(
        f"{offender.name}{f' pid {offender.pid}' if offender.pid else ''}: {offender.cpu_s:.2g} s"
        for offender in use.offenders
    )


def _swapped_pages(root: Path) -> tuple[int, int]:
    lines = (read_text(root, "proc/vmstat") or "").splitlines()
    counts = dict(line.split(" ", 1) for line in lines if line.startswith("pswp"))
    return int(counts.get("pswpin", "0")), int(counts.get("pswpout", "0"))
