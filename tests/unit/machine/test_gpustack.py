"""Which wheels a driver runs, and whether a GPU has a vLLM at all."""

from __future__ import annotations

from typing import Any

import pytest
from boards import Board, FakeNvml

from tokgate.machine.gpustack import LEAST_CAPABILITY, driver_version, no_vllm, stack_for

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("driver", "requirements"),
    [
        ("580.95.05", "requirements-gpu.txt"),
        ("595.10", "requirements-gpu.txt"),
        ("579.99", "requirements-gpu-cuda12.txt"),
        ("550.54.15", "requirements-gpu-cuda12.txt"),
        ("525.60.13", "requirements-gpu-cuda12.txt"),
        ("470.256.02", None),
    ],
)
def test_the_driver_decides_which_wheels_fit(driver: str, requirements: str | None) -> None:
    stack = stack_for(driver)
    assert (stack.requirements if stack else None) == requirements


@pytest.mark.parametrize(("old", "version"), [(True, "535.183.01"), (False, "580.95.05")])
def test_the_driver_is_that_of_nvml(tree: Any, old: bool, version: str) -> None:
    root = tree({"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu\n"})
    assert driver_version(root, FakeNvml(Board("GPU-1"), old=old)) == version


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\nGCC 12.3.0\n",
         "535.183.01"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder@U22-I3)\n",
         "580.95.05"),
        ("NVRM version: something else\n", None),
    ],
)  # fmt: skip
def test_without_nvml_the_kernel_module_says_it(tree: Any, said: str, version: str | None) -> None:
    assert driver_version(tree({"proc/driver/nvidia/version": said}), FakeNvml(driver=False)) == version


def test_where_neither_says_it_it_is_not_known(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert driver_version(tree({"proc/stat": ""}), FakeNvml(driver=False)) is None
    assert driver_version(tree({"dev/nvidiactl": ""}), FakeNvml(driver=False)) is None
    monkeypatch.setattr(FakeNvml, "nvmlSystemGetDriverVersion", lambda self: "?")
    assert driver_version(tree({"proc/stat": ""}), FakeNvml(Board("GPU-1"))) is None


def test_vllm_begins_with_turing() -> None:
    for capability in ((6, 1), (7, 0), (7, 2)):
        said = no_vllm(capability)
        assert said is not None
        assert said.startswith(f"no current vLLM runs on compute capability {capability[0]}.{capability[1]} ")
        assert said.endswith(": it needs 7.5 or more")
    for capability in (LEAST_CAPABILITY, (8, 6), (9, 0), (10, 0), (12, 0)):
        assert no_vllm(capability) is None
