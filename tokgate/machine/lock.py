"""One lock per device, so that no two measurements overlap, whoever started them. Standard library alone.

The lock is the kernel's (flock), so it frees itself when its holder dies. Its file lies in a folder that
all users of the host share, and holds a line on who has it. What it cannot see: containers, services
with a /tmp of their own (PrivateTmp), and hosts that share the hardware through a hypervisor. Mount the
host's /tmp/tokgate-locks into containers that measure.

Not filelock: the holder's line and the lock then lie in one file, and files of other users in a sticky folder
must be opened without O_CREAT (fs.protected_regular), which its versions differ in.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from tokgate.errors import InputError, MeasurementError
from tokgate.machine.files import REAL_ROOT, read_text

_POLL_S = 0.05
_COMMAND_CHARACTERS = 120
_SECRET = re.compile(r"hf_\w+|(?<=token[= ])\S+|(?<=key[= ])\S+|(?<=secret[= ])\S+|(?<=password[= ])\S+", re.I)


@dataclass(frozen=True)
class Holder:
    """Who has a lock. `since` is local time with its offset."""

    pid: int
    command: str
    since: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command}) since {self.since}"


def lock_folder() -> Path:
    """The folder shared by all users. Not by TMPDIR, which schedulers set per job."""
    shared = Path("/tmp")
    parent = shared if shared.is_dir() and os.access(shared, os.W_OK) else Path(tempfile.gettempdir())
    return parent / "tokgate-locks"


def cpu_device_name(root: Path = REAL_ROOT) -> str:
    """One name for all CPUs of this host: memory bandwidth is shared, so two sockets are not told apart.

    It carries the kernel's boot id, which containers of a host share and hosts with a common /tmp do not.
    """
    boot = read_text(root, "proc/sys/kernel/random/boot_id") or ""
    return f"cpu-package-{boot[:8] or 'host'}"


@contextmanager
def device_lock(
    device: str, timeout_s: float, on_wait: Callable[[str], None], folder: Path | None = None
) -> Iterator[None]:
    """Holds the lock of `device` ('cpu-package-...', a GPU's UUID) while the body runs.

    When somebody else has it, calls `on_wait` once with a sentence that names the holder, and waits. Raises
    MeasurementError after `timeout_s`, InputError for a name that cannot be a file's. A thread of the same
    process waits too: it is not re-entrant.
    """
    handle = _acquire(device, timeout_s, on_wait, folder or lock_folder())
    try:
        _write_holder(handle)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
        # Said aloud: closing alone leaves the lock with a child that was forked meanwhile.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def holder(device: str, folder: Path | None = None) -> Holder | None:
    """Who has the lock of `device` now; None when it is free (or was never taken)."""
    place = folder or lock_folder()
    if not (place / _file_name(device)).exists():
        return None
    handle = _open(device, place)
    try:
        return None if _try(handle) else _read_holder(handle)
    finally:
        os.close(handle)


def check_folder(folder: Path) -> None:
    """Makes the folder if need be. Raises MeasurementError when it cannot hold locks for all users."""
    remedy = f"remove it, or `chmod 1777 {folder}` as its owner"
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            folder.chmod(0o1777)
        status = folder.lstat()
    except OSError as error:
        raise MeasurementError(f"{folder}: cannot hold device locks: {error.strerror}; {remedy}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise MeasurementError(f"{folder}: expected a directory for device locks, not a link or a file; {remedy}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise MeasurementError(f"{folder}: this user cannot write there, so cannot take device locks; {remedy}")


def _acquire(device: str, timeout_s: float, on_wait: Callable[[str], None], folder: Path) -> int:
    deadline = time.monotonic() + timeout_s
    told = False
    while True:
        handle = _open(device, folder)
        locked = False
        try:
            locked = _try(handle) and _is_current(handle, folder / _file_name(device))
            other = _read_holder(handle) or "another process"
        finally:
            if not locked:
                os.close(handle)
        if locked:
            return handle
        if time.monotonic() >= deadline:
            raise MeasurementError(
                f"{device} is still being measured by {other} after {timeout_s:g} s of waiting; two"
                " measurements at once disturb each other: let that one end, stop it, or wait longer"
            )
        if not told:
            told = True
            on_wait(f"{device} is being measured by {other}; waiting for it, up to {timeout_s:g} s")
        time.sleep(min(_POLL_S, max(0.0, deadline - time.monotonic())))


def _open(device: str, folder: Path) -> int:
    """The lock's file, made if missing; never through a link, and existing ones without O_CREAT."""
    check_folder(folder)
    path = folder / _file_name(device)
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        try:
            handle = os.open(path, flags)
            break
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
                os.fchmod(handle, 0o666)
                break
        except OSError as error:
            seen = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
            raise MeasurementError(f"{path}: cannot be used as a lock: {seen}; remove it") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise MeasurementError(f"{path}: cannot be used as a lock: it is no plain file; remove it")
    return handle


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_current(handle: int, path: Path) -> bool:
    """Whether the path still names the file that was locked: cleaners of /tmp may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _file_name(device: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", device):
        raise InputError(f"device {device!r}: expected letters, digits, '.', '_' and '-' (it names a lock file)")
    return f"{device}.lock"


def _write_holder(handle: int) -> None:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    command = _SECRET.sub("***", command)[:_COMMAND_CHARACTERS]
    me = Holder(os.getpid(), command, datetime.now().astimezone().isoformat(timespec="seconds"))
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(asdict(me)).encode(), 0)


def _read_holder(handle: int) -> Holder | None:
    """None when nothing readable is there: it was taken, or given back, this very moment."""
    try:
        found = json.loads(os.pread(handle, 4096, 0))
        return Holder(int(found["pid"]), str(found["command"]), str(found["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
