"""Short fixed pieces of work that show what the machine gives right now. numpy alone.

`python -m tokgate.machine.probe THREADS` prints the machine's peaks as JSON: see measured_peaks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tokgate.machine.cpus import usable_cpus
from tokgate.machine.files import REAL_ROOT, cpu_list, read_text
from tokgate.machine.memory import available_bytes

# 64 x 64 is the largest product that OpenBLAS computes in the calling thread (m n k <= 2^18), so each thread
# works for itself, whatever BLAS's own pool is set to, and numpy holds no GIL while it goes through a stack.
_SIDE = 64
_STACK = 32
# 1.6 GFLOP a thread: 20 to 30 ms on a server core with AVX2.
_PASSES = 96
# 2 to 5 ms on a server core.
_LOOPS = 100_000

_QUIET_SHARE = 0.25
# On two cores of a shared host, probes of quiet minutes spread from 22 to 56 ms beside rounds that agree within 5%:
# a narrower band condemns them. Twice as slow on both sides is a neighbour on the same cores.
_BAND = 1.0


def matmul_probe(threads: int) -> float:
    """Seconds that `threads` threads take for a fixed float32 matrix product each, started together."""
    left = np.random.default_rng(0).standard_normal((_SIDE, _SIDE), dtype=np.float32)
    stack = np.broadcast_to(left, (_STACK, _SIDE, _SIDE))

    def work() -> None:
        product = np.empty((_STACK, _SIDE, _SIDE), np.float32)
        for _ in range(_PASSES):
            np.matmul(stack, stack, out=product)

    return _run_together([work] * threads)


def loop_probe() -> float:
    """Seconds that one thread of Python takes for a fixed loop, some ms: such a thread launches a GPU's kernels."""
    started = time.perf_counter()
    for _ in range(_LOOPS):
        pass
    return time.perf_counter() - started


def read_bandwidth(threads: int, size_bytes: int = 512 << 20, repeats: int = 5) -> float:
    """Bytes a second that `threads` threads read sequentially, the best of `repeats`.

    `size_bytes` is memory that gets allocated; take at least four times the L3 cache.
    """
    parts = np.array_split(np.empty(size_bytes, np.uint8), threads)
    # Written, so that each page is its own (untouched ones are all the same page of zeros), and by the thread that
    # reads it, so that it lies in that one's NUMA node.
    _run_together([_writer(part) for part in parts])
    # max of bytes is vectorised on x86 and ARM, as fast as memchr (27 to 33 GB/s by two threads of a Zen 3).
    readers = [_reader(part) for part in parts]
    return size_bytes / min(_run_together(readers) for _ in range(repeats))


def matmul_rate(threads: int, least_s: float = 0.15) -> float:
    """Float32 operations a second of one large matrix product, the best of as many as fit into `least_s`.

    BLAS's own pool computes it, and is to be set to `threads` before numpy is imported.
    """
    # Some ms of work for each thread. On 16 cores single products of 10 ms spread from 1.4 to 2.5 TFLOP/s.
    side = 1024 if threads <= 8 else 2048 if threads <= 64 else 4096
    left = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    product = np.empty_like(left)
    np.matmul(left, left, out=product)
    times_s: list[float] = []
    while len(times_s) < 3 or sum(times_s) < least_s:
        started = time.perf_counter()
        np.matmul(left, left, out=product)
        times_s.append(time.perf_counter() - started)
    return 2 * side**3 / min(times_s)


def peaks(threads: int, root: Path = REAL_ROOT) -> dict[str, float]:
    """{"read_bytes_s", "flop_s"} of this machine in a quarter of its free memory at most.

    Four times the last-level caches, as far as 1 GiB: beyond that filling it would take too long. Raises
    MemoryError where so little is free that caches would be measured.
    """
    size_bytes = min(max(256 << 20, 4 * last_level_cache_bytes(root)), 1 << 30, available_bytes(root) // 4)
    if size_bytes < 64 << 20:
        raise MemoryError(f"{available_bytes(root) >> 20} MiB are free; the probe needs 256")
    return {"read_bytes_s": read_bandwidth(threads, size_bytes), "flop_s": matmul_rate(threads)}


def measured_peaks(threads: int, timeout_s: float = 20.0) -> dict[str, float]:
    """`peaks` by a process of its own: what it takes of memory never counts for the caller, and its BLAS has as
    many threads as the engine. Raises RuntimeError with its last words, or subprocess.TimeoutExpired."""
    pools = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return peaks_of_child(["tokgate.machine.probe", str(threads)], dict.fromkeys(pools, str(threads)), timeout_s)


def peaks_of_child(module: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> dict[str, float]:
    """What `python -m MODULE ARGUMENTS` prints as JSON. Raises as measured_peaks does."""
    done = subprocess.run(
        [sys.executable, "-m", *module],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the probe of the machine's peaks ended with {done.returncode}: {done.stderr[-500:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def last_level_cache_bytes(root: Path = REAL_ROOT) -> int:
    """All L3 caches that the usable CPUs have between them; 0 where the machine does not say."""
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    sizes: dict[frozenset[int], int] = {}
    for cpu in usable_cpus(root):
        cache = f"sys/devices/system/cpu/cpu{cpu}/cache/index3"
        size = read_text(root, f"{cache}/size") or ""
        if size[:-1].isdigit():
            sizes[cpu_list(read_text(root, f"{cache}/shared_cpu_list") or "")] = int(size[:-1]) * units.get(size[-1], 1)
    return sum(sizes.values())


class ProbeBand:
    """Whether probes are within a band above what this launch gives when it is quiet.

    Quiet is the fast quarter of the launch's probes so far, not its single best: on a shared host a probe
    sometimes runs 30% faster than all others (clock boost, an idle sibling thread), and that must not condemn
    the rest.
    """

    def __init__(self, width: float = _BAND) -> None:
        self._width = width
        self._seen_s: list[float] = []

    def add(self, *probes_s: float) -> None:
        self._seen_s += probes_s

    def quiet_s(self) -> float:
        """The launch's quiet level. Raises ValueError before the first probe."""
        if not self._seen_s:
            raise ValueError("no probe yet")
        return float(np.quantile(self._seen_s, _QUIET_SHARE))

    def fault(self, before_s: float, after_s: float) -> str | None:
        """Adds the probes on both sides of a round, and says so when both lie beyond the band.

        One alone may be a blip beside the round; load all through it shows on both sides.
        """
        self.add(before_s, after_s)
        quiet_s = self.quiet_s()
        slower = min(before_s, after_s) / quiet_s - 1
        if slower <= self._width:
            return None
        probe_ms = 1e3 * min(before_s, after_s)
        return (
            f"probe {slower:.0%} slower than this launch's best"
            f" ({probe_ms:.1f} ms against {1e3 * quiet_s:.1f} ms, limit {self._width:.0%}):"
            " the host was busy; measure at a quieter time"
        )


def _writer(part: NDArray[np.uint8]) -> Callable[[], None]:
    def write() -> None:
        part.fill(1)

    return write


def _reader(part: NDArray[np.uint8]) -> Callable[[], None]:
    def read() -> None:
        part.max()

    return read


def _run_together(works: Sequence[Callable[[], None]]) -> float:
    """Seconds from the common start to the last one's end."""
    gate = threading.Barrier(len(works) + 1)

    def wait_and(work: Callable[[], None]) -> None:
        gate.wait()
        work()

    threads = [threading.Thread(target=wait_and, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    gate.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


if __name__ == "__main__":
    print(json.dumps(peaks(int(sys.argv[1]))))
