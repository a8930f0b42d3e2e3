"""A worker runs where only its engine is installed, so what it imports of the machine must be bare."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

FORBIDDEN = {
    "psutil",
    "rich",
    "msgspec",
    "filelock",
    "pytest",
    "scipy",
    "cpuinfo",
    "packaging",
    "torch",
    "onnxruntime",
    "pynvml",
}


def modules_after(*names: str) -> set[str]:
    code = f"import {', '.join(names)}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_workers_modules_need_the_standard_library_and_numpy_alone():
    names = [f"tokgate.machine.{name}" for name in ("telemetry", "probe", "memory", "cpus", "fingerprint", "watch")]
    assert not FORBIDDEN & modules_after("tokgate.worker", "tokgate.traceworker", *names)


def test_only_the_probe_needs_numpy():
    assert "numpy" not in modules_after("tokgate.machine.telemetry", "tokgate.machine.memory")


def test_the_doctor_and_the_lock_import_no_engine_and_nothing_slow():
    assert not FORBIDDEN & modules_after("tokgate.machine.doctor", "tokgate.machine.lock")
