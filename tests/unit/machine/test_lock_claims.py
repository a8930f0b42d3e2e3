"""Several devices at once, held alone or shared: all of them or none, and never two runs that wait for each other."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
from holders import DEVICE, all_held_by_another, held_by_another, no_wait

from tokgate.errors import MeasurementError
from tokgate.machine import lock
from tokgate.machine.lock import Claim, device_lock, device_locks, gpu_claims, holder

pytestmark = pytest.mark.unit

TAKE_BOTH_OFTEN = """
import sys
from pathlib import Path
from tokgate.machine.lock import Claim, device_locks
for turn in range(40):
    with device_locks(map(Claim, sys.argv[2:]), 30, lambda said: None, Path(sys.argv[1])):
        pass
print("done")
"""


def test_several_devices_are_held_and_given_back_together(tmp_path):
    with device_locks([Claim("GPU-2"), Claim("GPU-1")], 0, no_wait, tmp_path):
        assert holder("GPU-1", tmp_path) is not None
        assert holder("GPU-2", tmp_path) is not None
    assert holder("GPU-1", tmp_path) is None
    assert holder("GPU-2", tmp_path) is None


def test_who_does_not_get_all_of_them_keeps_none(tmp_path):
    with (
        all_held_by_another(tmp_path, "GPU-2") as other,
        pytest.raises(MeasurementError, match=f"GPU-2 is still being measured by pid {other.pid}"),
        device_locks(map(Claim, ("GPU-1", "GPU-2", "GPU-3")), 0.1, lambda said: None, tmp_path),
    ):
        pytest.fail("held what another holds")
    assert holder("GPU-1", tmp_path) is None


def test_two_runs_that_name_the_same_gpus_in_another_order_do_not_wait_for_ever(tmp_path):
    orders = (["GPU-1", "GPU-2"], ["GPU-2", "GPU-1"])
    command = [sys.executable, "-c", TAKE_BOTH_OFTEN, str(tmp_path)]
    processes = [subprocess.Popen([*command, *order], stdout=subprocess.PIPE, text=True) for order in orders]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["done\n", "done\n"]


def test_gpu_runs_share_the_cpus_and_a_cpu_run_has_them_alone(tmp_path):
    with all_held_by_another(tmp_path, "GPU-1", f"~{DEVICE}") as gpu_run:
        with device_locks([Claim("GPU-2"), Claim(DEVICE, shared=True)], 0, no_wait, tmp_path):
            assert gpu_run.poll() is None
        with (
            pytest.raises(MeasurementError, match="still being measured"),
            device_lock(DEVICE, 0.1, lambda said: None, tmp_path),
        ):
            pytest.fail("a CPU run beside a GPU run")
    with (
        held_by_another(tmp_path) as cpu_run,
        pytest.raises(MeasurementError, match=f"pid {cpu_run.pid}"),
        device_locks([Claim("GPU-1"), Claim(DEVICE, shared=True)], 0.1, lambda said: None, tmp_path),
    ):
        pytest.fail("a GPU run beside a CPU run")


def test_who_leaves_a_shared_device_does_not_wipe_out_the_others_name(tmp_path):
    with contextlib.ExitStack() as first:
        first.enter_context(device_locks([Claim(DEVICE, shared=True)], 0, no_wait, tmp_path))
        with all_held_by_another(tmp_path, f"~{DEVICE}") as second:
            first.close()
            found = holder(DEVICE, tmp_path)
            assert found is not None
            assert found.pid == second.pid


def test_a_device_claimed_both_ways_is_held_alone(tmp_path):
    claims = [Claim(DEVICE), Claim(DEVICE, shared=True)]
    with (
        device_locks(claims, 0, no_wait, tmp_path),
        pytest.raises(MeasurementError),
        device_locks([Claim(DEVICE, shared=True)], 0, lambda said: None, tmp_path),
    ):
        pytest.fail("shared what is held alone")


def test_a_gpu_is_named_by_its_uuid_and_a_slice_excludes_its_gpu():
    cpus = Claim(lock.cpu_device_name(), shared=True)
    assert gpu_claims("GPU-1111") == [Claim("GPU-1111"), cpus]
    assert gpu_claims("MIG-2222", "GPU-1111") == [Claim("MIG-2222"), Claim("GPU-1111"), cpus]


def test_a_slice_as_older_drivers_name_it_can_be_locked(tmp_path):
    claims = gpu_claims("MIG-GPU-1111/1/0", "GPU-1111")
    with device_locks(claims[:2], 0, no_wait, tmp_path):
        assert holder("MIG-GPU-1111_1_0", tmp_path) is not None
