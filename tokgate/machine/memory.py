"""How much memory there is, and how much this process, or its whole family, has had. Standard library alone."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from tokgate.machine import cgroup, processes
from tokgate.machine.files import REAL_ROOT, bytes_of, read_table


def total_bytes(root: Path = REAL_ROOT) -> int:
    """The memory this process may use at most: the machine's, or less where a control group limits it."""
    total = bytes_of(read_table(root, "proc/meminfo"), "MemTotal") or 0
    limit = cgroup.memory_limit_bytes(root)
    return total if limit is None else min(total, limit)


def available_bytes(root: Path = REAL_ROOT) -> int:
    """What a process can still take without swapping or being killed, page cache counted as free."""
    available = bytes_of(read_table(root, "proc/meminfo"), "MemAvailable") or 0
    headroom = cgroup.memory_headroom_bytes(root)
    return available if headroom is None else min(available, headroom)


def peak_rss_bytes(root: Path = REAL_ROOT) -> int:
    """This process's largest resident memory since it started, or since reset_peak_rss()."""
    peak = bytes_of(read_table(root, "proc/self/status"), "VmHWM")
    # ru_maxrss is the second choice: it cannot be reset, and exec hands the parent's value down.
    return peak if peak is not None else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def reset_peak_rss(root: Path = REAL_ROOT) -> bool:
    """Starts peak_rss_bytes() anew from what is resident now; False where that is not permitted."""
    try:
        (root / "proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def family_peak_rss_bytes(root: Path = REAL_ROOT) -> int:
    """The sum over this process and its descendants of the largest resident memory of each.

    An engine may live in processes of its own (vLLM's does). What they share, as the pages of libraries, counts
    in each, and their peaks may lie at different moments, so the sum is an upper bound; of one process alone it is
    its peak. A descendant that has ended does not count.
    """
    return peak_rss_bytes(root) + descendants_peak_rss_bytes(os.getpid(), root)


def descendants_peak_rss_bytes(pid: int, root: Path = REAL_ROOT) -> int:
    """The same sum over the descendants of process `pid`, without itself."""
    family = processes.descendants(processes.scan(root), pid)
    peaks = (bytes_of(read_table(root, f"proc/{each}/status"), "VmHWM") for each in family)
    return sum(peak or 0 for peak in peaks)


def reset_family_peak_rss(root: Path = REAL_ROOT) -> bool:
    """Starts family_peak_rss_bytes() anew; False where that is not permitted for all of the family."""
    done = [reset_peak_rss(root)]
    for pid in _descendants(root):
        try:
            (root / f"proc/{pid}/clear_refs").write_text("5")
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError:
            done.append(False)
    return all(done)


def _descendants(root: Path) -> frozenset[int]:
    return processes.descendants(processes.scan(root), os.getpid())


def swapped_bytes(root: Path = REAL_ROOT) -> int:
    """How much of this process lies in swap."""
    return bytes_of(read_table(root, "proc/self/status"), "VmSwap") or 0
