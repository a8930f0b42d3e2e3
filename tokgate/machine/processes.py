"""CPU time by process, from /proc/[pid]/stat. Standard library alone, and cheap: about 10 us a process."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tokgate.machine.files import cpu_list, read_table

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Offender(NamedTuple):
    """Somebody else who used the CPUs. `pid` is 0 where it is no process."""

    name: str
    pid: int
    cpu_s: float


class Process(NamedTuple):
    """`cpu_s` counts the process and those of its children that have ended and been waited for.

    A tuple, since a scan makes hundreds and a frozen dataclass takes four times as long to make.
    """

    pid: int
    name: str
    parent: int
    started: int
    cpu_s: float


def read_process(root: Path, pid: int) -> Process | None:
    """None where the process is gone (or its entry is no process)."""
    return _read(f"{root}/proc/{pid}/stat", pid)


def _read(path: str, pid: int) -> Process | None:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        content = os.read(handle, 2048)
    except OSError:
        return None
    finally:
        os.close(handle)
    # The name stands in parentheses and may hold any character, ')' and ' ' too: split after the last one.
    close = content.rfind(b")")
    fields = content[close + 2 :].split(None, 20)
    if close < 0 or len(fields) < 20:
        return None
    name = content[content.find(b"(") + 1 : close].decode("utf-8", "replace")
    ticks = int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
    return Process(pid, name, int(fields[1]), int(fields[19]), ticks * TICK_S)


def scan(root: Path) -> dict[int, Process]:
    """Every process that can be seen from here, by pid."""
    folder = str(root / "proc")
    found = (_read(f"{folder}/{name}/stat", int(name)) for name in os.listdir(folder) if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def descendants(processes: Mapping[int, Process], ancestor: int) -> frozenset[int]:
    """The pids of the children of `ancestor`, of their children, and so on."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: list[int] = []
    ahead = list(children.get(ancestor, []))
    while ahead:
        pid = ahead.pop()
        found.append(pid)
        ahead.extend(children.get(pid, []))
    return frozenset(found)


def used_between(before: Mapping[int, Process], after: Mapping[int, Process]) -> list[Offender]:
    """CPU time of each process over an interval, most first, ended children counted with their parents.

    A child that ended hands its whole life to its parent; what it had used before the interval is taken off.
    """
    inherited: dict[int, float] = {}
    for process in before.values():
        if not _same(process, after.get(process.pid)):
            inherited[process.parent] = inherited.get(process.parent, 0.0) + process.cpu_s
    used = []
    for process in after.values():
        earlier = before.get(process.pid)
        start_s = earlier.cpu_s if earlier is not None and _same(earlier, process) else 0.0
        cpu_s = process.cpu_s - start_s - inherited.get(process.pid, 0.0)
        used.append(Offender(process.name, process.pid, cpu_s))
    return sorted(used, key=lambda offender: -offender.cpu_s)


def sharing(root: Path, used: Iterable[Offender], cpus: frozenset[int], most: int) -> list[Offender]:
    """The first `most` of `used` that may run on one of `cpus`."""
    found: list[Offender] = []
    for offender in used:
        if len(found) == most:
            break
        allowed = read_table(root, f"proc/{offender.pid}/status").get("Cpus_allowed_list", "")
        if not allowed or cpu_list(allowed) & cpus:
            found.append(offender)
    return found


def _same(one: Process, other: Process | None) -> bool:
    return other is not None and one.started == other.started
