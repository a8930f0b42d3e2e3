"""One measurement at a time on a device, whoever starts the second one, and however the first one ends."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokgate.errors import InputError, MeasurementError
from tokgate.machine import lock
from tokgate.machine.lock import Claim, device_lock, device_locks, gpu_claims, holder

pytestmark = pytest.mark.unit

DEVICE = "cpu-package-test"
HOLD = """
import sys
from pathlib import Path
from tokgate.machine.lock import device_lock
with device_lock(sys.argv[1], 30, print, Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""
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
HOLD_ALL = """
import sys
from pathlib import Path
from tokgate.machine.lock import Claim, device_locks
claims = [Claim(name.removeprefix("~"), name.startswith("~")) for name in sys.argv[2:]]
with device_locks(claims, 30, print, Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
TAKE_BOTH_OFTEN = """
import sys
from pathlib import Path
from tokgate.machine.lock import Claim, device_locks
for turn in range(40):
    with device_locks(map(Claim, sys.argv[2:]), 30, lambda said: None, Path(sys.argv[1])):
        pass
print("done")
"""


@contextlib.contextmanager
def held_by_another(folder: Path, device: str = DEVICE) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, device, str(folder), "--hf-token=hf_verysecret"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def all_held_by_another(folder: Path, *devices: str) -> Iterator[subprocess.Popen[str]]:
    """`devices` as in `HOLD_ALL`: '~' before those that are shared."""
    command = [sys.executable, "-c", HOLD_ALL, str(folder), *devices]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def no_wait(said: str) -> None:
    pytest.fail(f"waited: {said}")


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


def test_secrets_on_the_command_line_are_not_published(tmp_path):
    with held_by_another(tmp_path) as first:
        found = holder(DEVICE, tmp_path)
        assert found is not None
        assert found.pid == first.pid
        assert "verysecret" not in (tmp_path / f"{DEVICE}.lock").read_text()


def test_folder_and_file_are_open_to_all_users(tmp_path):
    folder = tmp_path / "new" / "locks"
    umask = os.umask(0o077)
    try:
        with device_lock(DEVICE, 0, no_wait, folder):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
            assert stat.S_IMODE((folder / f"{DEVICE}.lock").stat().st_mode) == 0o666
    finally:
        os.umask(umask)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_lock_file_of_another_user_can_be_taken():
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        os.chmod(parent, 0o755)
        folder = Path(parent) / "locks"
        with device_lock(DEVICE, 0, no_wait, folder):
            pass
        code = HOLD.replace("with device_lock", "import os; os.setuid(65534)\nwith device_lock")
        command = [sys.executable, "-c", code, DEVICE, str(folder)]
        done = subprocess.run(command, input="", capture_output=True, text=True)
        assert (done.stdout, done.returncode) == ("held\n", 0), done.stderr


def test_a_planted_link_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / f"{DEVICE}.lock").symlink_to(victim)
    with pytest.raises(MeasurementError, match="symbolic link"), device_lock(DEVICE, 0, no_wait, tmp_path):
        pytest.fail("locked through a link")
    assert victim.read_text() == "precious"


def test_a_planted_link_instead_of_the_folder_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "locks").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(MeasurementError, match="not a link"),
        device_lock(DEVICE, 0, no_wait, tmp_path / "locks"),
    ):
        pytest.fail("locked through a link")


def test_a_lock_file_removed_under_its_holder_does_not_make_two_holders_of_the_new_one(tmp_path):
    """Cleaners of /tmp remove old files; a lock on a removed file guards nothing, so it is taken anew."""
    path = tmp_path / f"{DEVICE}.lock"
    with held_by_another(tmp_path) as first:

        def clean_then_free(said: str) -> None:
            path.unlink()
            first.kill()

        with device_lock(DEVICE, 30, clean_then_free, tmp_path):
            found = holder(DEVICE, tmp_path)
            assert found is not None
            assert found.pid == os.getpid()


@pytest.mark.parametrize("device", ["../cpu", "", "a/b", ".hidden"])
def test_a_device_name_that_is_no_file_name_is_bad_input(tmp_path, device):
    with pytest.raises(InputError, match="names a lock file"), device_lock(device, 0, no_wait, tmp_path):
        pytest.fail("locked")


def test_the_cpus_of_a_host_have_one_name_and_another_host_another(tree, tmp_path):
    boot = "proc/sys/kernel/random/boot_id"
    one, two = tree({boot: "1234abcd-00\n"}), tree({boot: "9999ffff-00\n"}, root=tmp_path / "two")
    assert lock.cpu_device_name(one) == "cpu-package-1234abcd"
    assert lock.cpu_device_name(two) != lock.cpu_device_name(one)
    assert lock.cpu_device_name() == lock.cpu_device_name()


def test_the_folder_does_not_follow_a_jobs_own_tmpdir(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert lock.lock_folder() == Path("/tmp/tokgate-locks")


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
