"""A matrix's device: the host's CPUs, or its first GPUs, and what is held while they measure."""

from __future__ import annotations

import os

import pytest

from tokgate.errors import NoDeviceError
from tokgate.machine.gpu import Gpu
from tokgate.machine.lock import Claim, cpu_device_name
from tokgate.opening import find_device
from tokgate.scenario import Matrix

pytestmark = pytest.mark.unit


def matrix(device: str, gpus: int = 1) -> Matrix:
    return Matrix(device, "tiny", (), (), gpus)


def test_a_cpu_matrix_has_the_cpus_alone():
    found = find_device(matrix("cpu"), os.environ)
    assert found.machine["kind"] == "cpu"
    assert found.claims == (Claim(cpu_device_name()),)


def test_a_gpu_matrix_has_its_gpus_alone_and_shares_the_cpus(monkeypatch):
    asked: list[int] = []

    def used(count: int, environ: object) -> list[Gpu]:
        asked.append(count)
        return [Gpu("GPU-1", None, {}, {}), Gpu("MIG-2", "GPU-2", {}, {})]

    monkeypatch.setattr("tokgate.opening.used_gpus", used)
    monkeypatch.setattr("tokgate.opening.gpu_fingerprint", lambda count, environ: {"id": f"x{count}", "kind": "gpu"})
    found = find_device(matrix("gpu", 2), {})
    assert asked == [2]
    assert found.machine == {"id": "x2", "kind": "gpu"}
    assert set(found.claims) == {
        Claim("GPU-1"), Claim("MIG-2"), Claim("GPU-2"), Claim(cpu_device_name(), shared=True),
    }  # fmt: skip


def test_without_a_gpu_there_is_no_device(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    with pytest.raises(NoDeviceError, match=r"no GPU|nvidia-ml-py"):
        find_device(matrix("gpu"), {})
