"""One measurement at a time on a device, whoever starts the second one, and however the first one ends."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest
from holders import DEVICE, held_by_another, no_wait

from tokgate.errors import MeasurementError
from tokgate.machine.lock import Claim, HeldDevices, device_lock, device_locks, holder

pytestmark = pytest.mark.unit

TAKE_TURNS = """
import sys, time
from pathlib import Path
from tokgate.machine.lock import device_lock
with device_lock(sys.argv[1], 30, lambda said: None, Path(sys.argv[2])):
    start = time.monotonic_ns()
    while time.monotonic_ns() < start + 20_000_000:
        pass
    print(start, time.monotonic_ns())
"""


def test_a_free_device_is_taken_at_once_and_given_back(tmp_path):
    with device_lock(DEVICE, 0, no_wait, tmp_path):
        mine = holder(DEVICE, tmp_path)
        assert mine is not None
        assert mine.pid == os.getpid()
    assert holder(DEVICE, tmp_path) is None
    with device_lock(DEVICE, 0, no_wait, tmp_path):
        pass


def test_the_second_waits_says_once_for_whom_and_gets_its_turn(tmp_path):
    said: list[str] = []
    with held_by_another(tmp_path) as first:

        def let_go(sentence: str) -> None:
            said.append(sentence)
            first.stdin.close()

        with device_lock(DEVICE, 30, let_go, tmp_path):
            assert first.wait() == 0
    assert len(said) == 1
    assert f"{DEVICE} is being measured by pid {first.pid} (-c " in said[0]
    assert "since 20" in said[0]


def test_a_timeout_names_the_holder_and_the_remedy(tmp_path):
    said: list[str] = []
    with held_by_another(tmp_path) as first:
        with (
            pytest.raises(MeasurementError, match=f"still being measured by pid {first.pid}") as error,
            device_lock(DEVICE, 0.1, said.append, tmp_path),
        ):
            pytest.fail("measured beside another")
        assert "let that one end, stop it, or wait longer" in str(error.value)
        assert len(said) == 1
        assert first.poll() is None


def test_a_killed_holder_frees_the_device(tmp_path):
    with held_by_another(tmp_path) as first:
        with device_lock(DEVICE, 30, lambda said: first.kill(), tmp_path):
            assert first.wait() == -9
            mine = holder(DEVICE, tmp_path)
            assert mine is not None
            assert mine.pid == os.getpid()
        with device_lock(DEVICE, 0, no_wait, tmp_path):
            pass


def test_a_failed_measurement_gives_the_device_back(tmp_path):
    with pytest.raises(ZeroDivisionError), device_lock(DEVICE, 0, no_wait, tmp_path):
        _ = 1 / 0
    assert holder(DEVICE, tmp_path) is None


def test_devices_do_not_block_each_other(tmp_path):
    with held_by_another(tmp_path, "GPU-1111"), device_lock("GPU-2222", 0, no_wait, tmp_path):
        assert holder("GPU-1111", tmp_path) is not None


def test_many_processes_never_measure_at_once(tmp_path):
    """As under pytest-xdist: each worker holds the device for a while, and no two of these overlap."""
    command = [sys.executable, "-c", TAKE_TURNS, DEVICE, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    turns = sorted([int(word) for word in process.communicate()[0].split()] for process in processes)
    assert len(turns) == 4
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(turns))


def test_within_one_process_a_second_holder_is_refused_too(tmp_path):
    with (
        device_lock(DEVICE, 0, no_wait, tmp_path),
        pytest.raises(MeasurementError, match=f"pid {os.getpid()}"),
        device_lock(DEVICE, 0, no_wait, tmp_path),
    ):
        pytest.fail("held twice")


def test_what_a_process_holds_it_does_not_wait_for(tmp_path):
    devices = HeldDevices(tmp_path)
    for _ in range(2):
        devices.hold([Claim(DEVICE)], 0, no_wait)
        assert holder(DEVICE, tmp_path) is not None
    devices.release()
    assert holder(DEVICE, tmp_path) is None


def test_a_process_that_wants_another_device_gives_up_what_it_held(tmp_path):
    devices = HeldDevices(tmp_path)
    devices.hold([Claim(DEVICE)], 0, no_wait)
    devices.hold([Claim("GPU-0"), Claim(DEVICE, shared=True)], 0, no_wait)
    with device_locks([Claim(DEVICE, shared=True)], 0, no_wait, tmp_path):
        devices.hold([Claim("GPU-1")], 0, no_wait)
    assert [holder(name, tmp_path) is not None for name in (DEVICE, "GPU-0", "GPU-1")] == [False, False, True]


def test_who_waited_in_vain_holds_nothing(tmp_path):
    devices = HeldDevices(tmp_path)
    devices.hold([Claim("GPU-0")], 0, no_wait)
    with device_lock(DEVICE, 0, no_wait, tmp_path):
        for _ in range(2):
            with pytest.raises(MeasurementError, match="still being measured"):
                devices.hold([Claim("GPU-0"), Claim(DEVICE)], 0, lambda said: None)
            assert holder("GPU-0", tmp_path) is None
        devices.hold([Claim("GPU-0")], 0, no_wait)
        with pytest.raises(MeasurementError, match="still being measured"):
            devices.hold([Claim("GPU-0"), Claim(DEVICE)], 60, no_wait)
        assert holder("GPU-0", tmp_path) is not None, "known to be in vain, so nothing is given up for it"
