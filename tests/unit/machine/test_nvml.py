"""What is said where the driver's library cannot be asked: that there is no GPU, or what a GPU's host lacks."""

from __future__ import annotations

import sys

import pytest
from boards import FakeNvml

from tokgate.errors import NoDeviceError
from tokgate.machine.nvml import driver_seen, driver_session

pytestmark = pytest.mark.unit

DRIVER = {"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01\nGCC\n"}


@pytest.fixture
def _no_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)


def refusal(root, nvml=None):
    with pytest.raises(NoDeviceError) as refused, driver_session(nvml, root):
        pass
    return str(refused.value)


@pytest.mark.usefixtures("_no_library")
def test_a_host_without_a_driver_has_no_gpu_and_is_not_told_to_install_a_library(tmp_path):
    said = refusal(tmp_path)
    assert said.startswith("no GPU: this host has no NVIDIA driver")
    assert "nvidia-smi" in said
    assert "pip install" not in said


@pytest.mark.usefixtures("_no_library")
@pytest.mark.parametrize("files", [DRIVER, {"dev/nvidiactl": ""}])
def test_a_host_with_a_driver_is_told_which_library_it_lacks(tree, files):
    assert "pip install nvidia-ml-py" in refusal(tree(files))


def test_a_driver_that_does_not_answer_is_no_missing_gpu(tree, tmp_path):
    without, broken = refusal(tmp_path, FakeNvml(driver=False)), refusal(tree(DRIVER), FakeNvml(driver=False))
    assert without == f"no GPU: {broken}"
    assert broken.startswith("the NVIDIA driver cannot be reached (Driver Not Loaded)")


def test_of_what_the_kernel_says_of_its_driver_the_first_line_is_kept(tree, tmp_path):
    assert driver_seen(tmp_path) is None
    assert driver_seen(tree(DRIVER)) == "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01"
