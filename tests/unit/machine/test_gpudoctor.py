"""`tokgate doctor` on a GPU host: which wheels its driver runs, and what stands in the way of measuring."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from boards import NOT_SUPPORTED, Board, FakeNvml

from tokgate.machine import gpudoctor
from tokgate.machine.check import Check
from tokgate.machine.gpudoctor import gpu_checks, torch_cuda
from tokgate.machine.lock import device_lock

pytestmark = pytest.mark.unit

TORCH_13 = "from typing import Optional\n__version__ = '2.11.0+cu130'\ndebug = False\ncuda: Optional[str] = '13.0'\n"


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Sets which packages are there, and torch's own version file."""

    def install(version_file: str = TORCH_13, **versions: str) -> None:
        def version(name: str) -> str:
            if name not in versions:
                raise gpudoctor.metadata.PackageNotFoundError(name)
            return versions[name]

        class Torch:
            @staticmethod
            def locate_file(path: str) -> Path:
                return tmp_path / path

        (tmp_path / "torch").mkdir(exist_ok=True)
        (tmp_path / "torch/version.py").write_text(version_file)
        monkeypatch.setattr(gpudoctor.metadata, "version", version)
        monkeypatch.setattr(gpudoctor.metadata, "distribution", lambda name: Torch)

    install(torch="2.11.0", vllm="0.26.0")
    return install


@pytest.fixture
def examine(tmp_path, installed, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def run(nvml: FakeNvml, root: Path = tmp_path / "nothing") -> dict[str, Check]:
        (root / "proc").mkdir(parents=True, exist_ok=True)
        return {check.name: check for check in gpu_checks(root, tmp_path / "locks", nvml)}

    return run


@pytest.mark.parametrize(
    ("line", "cuda"),
    [
        ("cuda: Optional[str] = '13.0'", "13.0"),
        ("cuda = '12.8'", "12.8"),
        ("cuda: Optional[str] = None", None),
        ("cuda = None", None),
        ("", None),
    ],
)
def test_what_torch_was_built_for_is_read_from_its_own_file(line, cuda):
    assert torch_cuda(f"__version__ = '2.11.0'\n{line}\ngit_version = 'cuda = 1'\n") == cuda


def test_a_good_gpu_host_has_nothing_to_remedy(examine):
    found = examine(FakeNvml(Board("GPU-1", persistence=1)))
    assert {check.status for check in found.values()} == {"ok"}, found
    assert not any(check.remedy for check in found.values())
    assert found["gpu driver"].seen == (
        "580.95.05, runs CUDA up to 13.0: requirements-gpu.txt fits (vLLM 0.26.0, CUDA 13.0)"
    )
    assert found["torch for CUDA"].seen == "2.11.0, built for CUDA 13.0"
    assert found["gpu 0"].seen == "NVIDIA H200, 150.8 GB, 0.5 GB in use, ECC on"
    assert found["gpu 0 lock"].seen == "free"


def test_an_old_driver_wants_other_wheels(examine):
    found = examine(FakeNvml(Board("GPU-1"), old=True))
    assert "requirements-gpu-cuda12.txt fits (vLLM 0.19.1, CUDA 12.8)" in found["gpu driver"].seen
    assert found["torch for CUDA"].seen == "2.11.0, built for CUDA 13.0; the driver runs up to 12.2"
    assert found["torch for CUDA"].remedy == "pip install -r requirements-gpu-cuda12.txt"
    assert found["vllm for the driver"].seen == "0.26.0; for this driver it is 0.19.1"
    assert found["vllm for the driver"].status == "warn"


def test_a_driver_too_old_for_all_is_told_so(examine, monkeypatch):
    monkeypatch.setattr(FakeNvml, "nvmlSystemGetDriverVersion", lambda self: "470.256.02")
    check = examine(FakeNvml(Board("GPU-1")))["gpu driver"]
    assert (check.status, check.remedy) == (
        "warn", "no current vLLM runs on it: update it to 525 or, best, 580",
    )  # fmt: skip


def test_a_v100_has_no_current_vllm_whatever_its_driver(examine):
    v100 = Board("GPU-1", "Tesla V100-SXM2-16GB", 16384, 300_000, (7, 0))
    check = examine(FakeNvml(v100))["gpu driver"]
    assert check.status == "warn"
    assert "no current vLLM runs on compute capability 7.0" in check.remedy


def test_what_is_missing_is_told_with_the_file_that_fits(examine, installed):
    installed()
    found = examine(FakeNvml(Board("GPU-1")))
    for name in ("torch for CUDA", "vllm for the driver"):
        assert (found[name].status, found[name].remedy) == ("warn", "pip install -r requirements-gpu.txt")


def test_a_torch_for_cpus_is_told(examine, installed):
    installed("cuda: Optional[str] = None\n", torch="2.13.0+cpu", vllm="0.26.0")
    assert examine(FakeNvml(Board("GPU-1")))["torch for CUDA"].seen.endswith("is a build for CPUs")


def test_who_is_on_a_gpu_is_named_and_who_cannot_be_seen_is_told_by_the_memory(examine):
    found = examine(FakeNvml(Board("GPU-1", processes={os.getpid(): 10**9}), Board("GPU-2", used_mib=4000)))
    assert f"pid {os.getpid()}" in found["gpu 0"].remedy
    assert "cannot be seen from here" in found["gpu 1"].remedy
    assert {found["gpu 0"].status, found["gpu 1"].status} == {"warn"}


def test_persistence_that_is_off_is_told(examine):
    check = examine(FakeNvml(Board("GPU-1", persistence=0)))["gpu 0 persistence"]
    assert (check.status, check.remedy) == ("warn", "sudo nvidia-smi -pm 1")


def test_a_held_gpu_names_its_holder(examine, tmp_path):
    with device_lock("GPU-1", 0, pytest.fail, tmp_path / "locks"):
        check = examine(FakeNvml(Board("GPU-1")))["gpu 0 lock"]
    assert check.status == "warn"
    assert f"pid {os.getpid()}" in check.seen


def test_without_a_gpu_one_line_says_so_and_is_no_failure(examine):
    assert examine(FakeNvml(driver=False)) == {"gpu": Check("gpu", "ok", "no GPU")}
    assert list(examine(FakeNvml())) == ["gpu"]


def test_a_driver_that_does_not_answer_is_shown(examine, tree):
    root = tree({"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01\nGCC\n"})
    check = examine(FakeNvml(driver=False), root)["gpu"]
    assert (check.status, check.seen) == ("warn", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01")
    assert "Driver Not Loaded" in check.remedy


def test_a_choice_that_names_no_gpu_is_told(examine, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    check = examine(FakeNvml(Board("GPU-1")))["gpu"]
    assert (check.status, "entry '7'" in check.remedy) == ("warn", True)


def test_what_a_driver_does_not_tell_is_left_out(examine):
    board = Board("GPU-1", errors={"nvmlDeviceGetMemoryInfo": NOT_SUPPORTED})
    assert examine(FakeNvml(board))["gpu 0"].seen == "NVIDIA H200, ECC on"
