"""A GPU's peaks: bytes read and written, operations done, by the GPU's own clock."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tokgate.machine import gpuprobe

pytestmark = pytest.mark.unit

COPY_MS, PRODUCT_MS = 0.5, 2.0


class FakeTorch:
    """As much of torch as the probe asks for, on a GPU whose every copy and product takes as long."""

    uint8, float16 = "uint8", "float16"

    def __init__(self, free_bytes: int) -> None:
        self.clock_ms = 0.0
        self.cuda = SimpleNamespace(mem_get_info=lambda: (free_bytes, free_bytes), Event=self._event)

    def _event(self, enable_timing: bool) -> Any:
        def record() -> None:
            event.at_ms = self.clock_ms

        event = SimpleNamespace(record=record, synchronize=lambda: None, at_ms=0.0)
        event.elapsed_time = lambda last: last.at_ms - event.at_ms
        return event

    def ones(self, size: int, dtype: str, device: str) -> Any:
        self.copied_bytes = size
        return SimpleNamespace(copy_=lambda source: self._take(COPY_MS))

    def empty_like(self, tensor: Any) -> Any:
        return tensor

    def randn(self, *shape: int, dtype: str, device: str) -> Any:
        assert (dtype, device) == ("float16", "cuda")
        return None

    def matmul(self, left: Any, right: Any, out: Any) -> None:
        self._take(PRODUCT_MS)

    def _take(self, ms: float) -> None:
        self.clock_ms += ms


@pytest.mark.parametrize(("free_bytes", "copied"), [(80 << 30, 1 << 30), (1 << 30, 1 << 28)])
def test_a_copy_counts_what_it_reads_and_writes_in_memory_that_is_free(monkeypatch, free_bytes, copied):
    torch = FakeTorch(free_bytes)
    monkeypatch.setitem(sys.modules, "torch", torch)
    found = gpuprobe.gpu_peaks()
    assert torch.copied_bytes == copied
    assert found["read_bytes_s"] == pytest.approx(2 * copied / 0.5e-3)
    assert found["flop_s"] == pytest.approx(2 * 8192**3 / 2e-3)


def test_several_gpus_have_the_peaks_of_one_times_their_number(monkeypatch):
    monkeypatch.setattr(gpuprobe, "peaks_of_child", lambda *args: {"read_bytes_s": 4e12, "flop_s": 7e14})
    assert gpuprobe.measured_gpu_peaks(2) == {"read_bytes_s": 8e12, "flop_s": 14e14}


def test_a_probe_without_a_gpu_says_why(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(RuntimeError, match=r"(?s)ended with 1: .*(CUDA|torch)"):
        gpuprobe.measured_gpu_peaks(1)
