"""What a GPU itself reads and computes a second, by torch, in a process that gives its memory back when it ends.

`python -m tokgate.machine.gpuprobe` prints the peaks of the first visible GPU as JSON: see gpu_peaks. To be run
before an engine is loaded, which takes the GPU's memory. About 4 s, most of them torch's import and CUDA's start.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tokgate.machine.probe import peaks_of_child

_MODULE = "tokgate.machine.gpuprobe"
# 0.4 to 2 ms a copy on HBM, 15 ms on a T4: long beside a launch, and far beyond the caches (50 MB on an H200).
_COPY_BYTES = 1 << 30
# 1.1 TFLOP a product: 1.5 ms on an H200, 40 ms on a T4.
_SIDE = 8192
_LEAST_S = 0.2
_LEAST_RUNS = 5


def measured_gpu_peaks(gpus: int, timeout_s: float = 60.0) -> dict[str, float]:
    """{"read_bytes_s", "flop_s"} of `gpus` GPUs: those of the first, times their number; they are alike.

    Raises RuntimeError with the child's last words, or subprocess.TimeoutExpired.
    """
    peaks = peaks_of_child([_MODULE], {}, timeout_s)
    return {name: gpus * value for name, value in peaks.items()}


def gpu_peaks() -> dict[str, float]:
    """Bytes a second that a device-to-device copy reads and writes, and operations of an FP16 matrix product (sums
    in FP32); the best of several. Raises RuntimeError without a GPU, torch.OutOfMemoryError on a full one."""
    import torch

    return {"read_bytes_s": _copy_rate(torch), "flop_s": _product_rate(torch)}


def _copy_rate(torch: Any) -> float:
    size_bytes: int = min(_COPY_BYTES, torch.cuda.mem_get_info()[0] // 4)
    source = torch.ones(size_bytes, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * size_bytes / _best_s(torch, lambda: target.copy_(source))


def _product_rate(torch: Any) -> float:
    left = torch.randn(_SIDE, _SIDE, dtype=torch.float16, device="cuda")
    product = torch.empty_like(left)
    return 2 * _SIDE**3 / _best_s(torch, lambda: torch.matmul(left, left, out=product))


def _best_s(torch: Any, work: Callable[[], object]) -> float:
    """Seconds of the fastest run, by the GPU's own clock; as many runs as fit into _LEAST_S, at least _LEAST_RUNS."""
    work()
    times_s: list[float] = []
    while len(times_s) < _LEAST_RUNS or sum(times_s) < _LEAST_S:
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        work()
        last.record()
        last.synchronize()
        times_s.append(first.elapsed_time(last) / 1e3)
    return min(times_s)


if __name__ == "__main__":
    print(json.dumps(gpu_peaks()))
