"""The file that stands for a device: where it is, and that nobody can do harm by it, or learn from it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from holders import DEVICE, HOLD, held_by_another, no_wait

from tokgate.errors import InputError, MeasurementError
from tokgate.machine import lock
from tokgate.machine.lock import device_lock, holder

pytestmark = pytest.mark.unit


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
