"""`tokgate doctor` sees what is wrong with a machine before a night is lost to it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tokgate.machine import doctor
from tokgate.machine.check import Check
from tokgate.machine.gpustack import STACKS
from tokgate.machine.lock import cpu_device_name, device_lock

pytestmark = pytest.mark.unit


@pytest.fixture
def examine(monkeypatch, tmp_path):
    """The checks by name, on a recorded machine; the engine is not started for each of them."""
    monkeypatch.setattr(doctor, "_providers", lambda: Check("onnxruntime providers", "ok", ""))
    monkeypatch.setattr(doctor, "installed_stack", lambda: None)
    # No library of the driver, whatever this machine has.
    monkeypatch.setitem(sys.modules, "pynvml", None)

    def run(root: Path, requirements: Path | None = None) -> dict[str, Check]:
        found = doctor.checks(
            root,
            requirements=requirements or tmp_path / "none.txt",
            cache_folder=tmp_path / "not" / "there",
            lock_folder=tmp_path / "locks",
            sample_s=0.01,
        )
        return {check.name: check for check in found}

    return run


def test_a_good_machine_has_nothing_to_remedy(tree, recorded, examine):
    found = examine(tree(recorded["milan"]))
    asked = ["cpu", "governor", "cgroup quota", "memory", "swap", "huge pages", "device lock", "gpu"]
    assert {name: found[name].status for name in asked} == dict.fromkeys(asked, "ok")
    assert found["gpu"].seen == "no GPU"
    assert not any(check.remedy for check in found.values() if check.status == "ok")
    assert all(check.remedy for check in found.values() if check.status != "ok")


def test_what_is_wrong_is_told_with_its_remedy(tree, recorded, examine):
    governors = {f"sys/devices/system/cpu/cpu{n}/cpufreq/scaling_governor": "powersave\n" for n in range(8)}
    swapping = "MemTotal: 16393000 kB\nMemAvailable: 5000000 kB\nSwapTotal: 2000000 kB\nSwapFree: 1000000 kB\n"
    files = {
        **governors,
        "proc/meminfo": swapping,
        "sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]\n",
        "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01\n",
    }
    found = examine(tree(recorded["ice lake"], recorded["pod v2"], files))
    assert "performance" in found["governor"].remedy
    assert found["cgroup quota"].seen == "2.5 CPUs of 8"
    assert found["swap"].seen == "1.02 of 2.05 GB used"
    assert found["huge pages"].status == "warn"
    assert "535.183.01" in found["gpu"].seen
    assert found["memory"].status == "fail", "the pod leaves 2 GiB"
    without_pod = examine(tree({"proc/self/cgroup": "0::/\n"}))
    assert (without_pod["memory"].status, without_pod["memory"].seen) == ("warn", "5.1 GB free")
    assert doctor.worst(found.values()) == "fail"


def test_a_held_lock_names_its_holder(tree, recorded, examine, tmp_path):
    root = tree(recorded["milan"])
    with device_lock(cpu_device_name(root), 0, pytest.fail, tmp_path / "locks"):
        check = examine(root)["device lock"]
    assert check.status == "warn"
    assert f"pid {os.getpid()}" in check.seen


def test_a_lock_folder_that_is_none_is_a_failure(tree, recorded, examine, tmp_path):
    (tmp_path / "locks").write_text("")
    assert examine(tree(recorded["milan"]))["device lock"].status == "fail"


def test_a_driver_without_its_library_says_what_to_install(tree, recorded, examine):
    files = {"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01\n"}
    check = examine(tree(recorded["milan"], files))["gpu"]
    assert (check.status, "pip install nvidia-ml-py" in check.remedy) == ("warn", True)


def test_an_environment_with_vllm_is_held_against_a_gpus_requirements(tree, recorded, examine, monkeypatch, tmp_path):
    """It has no ONNX Runtime, and that is no failure."""
    monkeypatch.setattr(doctor, "installed_stack", lambda: STACKS[1])
    monkeypatch.setattr(doctor, "_ROOT", tmp_path)
    (tmp_path / STACKS[1].requirements).write_text("nvidia-ml-py==0.1\nnumpy==0.1\n")
    found = examine(tree(recorded["milan"]), requirements=tmp_path / STACKS[1].requirements)
    assert found["numpy"].remedy.startswith(f"pip install -r {STACKS[1].requirements}")
    assert "onnxruntime providers" not in found
    assert "onnxruntime" not in found


def test_versions_are_held_against_the_pins_for_this_python(tree, recorded, examine, tmp_path):
    pins = tmp_path / "requirements-cpu.txt"
    pins.write_text(
        "# a comment\n-e .\n"
        "numpy==0.1; python_version < '3.99'\nnumpy==0.2; python_version >= '3.99'\n"
        "no-such-thing==1.0\nscipy>=1\n"
    )
    assert doctor.read_pins(pins) == {"numpy": "0.1", "no-such-thing": "1.0"}
    check = examine(tree(recorded["milan"]), pins)["numpy"]
    assert check.status == "warn"
    assert check.seen.endswith("pinned 0.1")


def test_providers_are_asked_in_a_process_of_their_own(monkeypatch):
    monkeypatch.setattr(doctor, "_PROVIDERS", "print('[\"CPUExecutionProvider\"]')")
    assert doctor._providers() == Check("onnxruntime providers", "ok", "CPUExecutionProvider")
    monkeypatch.setattr(doctor, "_PROVIDERS", "raise SystemExit(3)")
    assert doctor._providers().status == "fail"
    assert "onnxruntime" not in sys.modules


def test_an_unsupported_python_is_a_failure():
    assert doctor._python((3, 9)).status == "fail"
    assert doctor._python((3, 12)).status == "ok"


@pytest.mark.parametrize(("statuses", "worst"), [(["ok", "warn"], "warn"), (["warn", "fail"], "fail"), ([], "ok")])
def test_the_worst_decides(statuses, worst):
    assert doctor.worst(Check("x", status, "") for status in statuses) == worst
