"""One lock per device, so that no two measurements overlap, whoever started them. Standard library alone.

The lock is the kernel's (flock), so it frees itself when its holder dies. Its file lies in a folder that
all users of the host share, and holds a line on who has it. What it cannot see: containers, services
with a /tmp of their own (PrivateTmp), and hosts that share the hardware through a hypervisor. Mount the
host's /tmp/tokgate-locks into containers that measure.

Who holds what: a run on the CPU has the CPUs alone. A run on GPUs has each of them alone, and the CPUs with
other GPU runs: its host path (scheduling, tokens, launches of kernels) would be slowed by a run that takes every
core, and that run would be disturbed by it, while GPU runs beside each other use a few cores each. A MIG slice
is held with the GPU it is cut from, since slices share power, clocks and the PCIe link: two of them measured at
once would disturb each other, however well memory and multiprocessors are kept apart.

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
from collections.abc import Callable, Iterable, Iterator
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


@dataclass(frozen=True)
class Claim:
    """A device, and whether others who share it may have it at the same time."""

    device: str
    shared: bool = False


def gpu_claims(uuid: str, whole_uuid: str | None = None, root: Path = REAL_ROOT) -> list[Claim]:
    """What a run on a GPU has to hold; `whole_uuid` where `uuid` is a MIG slice's: the GPU it is cut from."""
    mine = [Claim(_device_of(gpu)) for gpu in (uuid, whole_uuid) if gpu is not None]
    return [*mine, Claim(cpu_device_name(root), shared=True)]


@contextmanager
def device_lock(
    device: str, timeout_s: float, on_wait: Callable[[str], None], folder: Path | None = None
) -> Iterator[None]:
    """Holds the lock of `device` ('cpu-package-...', a GPU's UUID) while the body runs: see device_locks."""
    with device_locks([Claim(device)], timeout_s, on_wait, folder):
        yield


@contextmanager
def device_locks(
    claims: Iterable[Claim], timeout_s: float, on_wait: Callable[[str], None], folder: Path | None = None
) -> Iterator[None]:
    """Holds all of `claims` while the body runs. Ask for them in one call: it takes them in an order that is
    the same for every process, so runs that want several never wait for each other in a circle.

    When somebody else has one, calls `on_wait` once for it with a sentence that names the holder, and waits.
    Raises MeasurementError after `timeout_s` in all, holding nothing; InputError for a name that cannot be a
    file's. A thread of the same process waits too: it is not re-entrant.
    """
    shared: dict[str, bool] = {}
    for claim in claims:
        shared[claim.device] = claim.shared and shared.get(claim.device, True)
    deadline = time.monotonic() + timeout_s
    with contextlib.ExitStack() as held:
        for device in sorted(shared):
            wait = _Wait(device, shared[device], deadline, timeout_s, on_wait)
            held.enter_context(_held(wait, folder or lock_folder()))
        yield


class HeldDevices:
    """What one process holds for all that it measures, one after the other: a pytest run of several matrices does not
    wait for itself, and lets nobody in between those of one device.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._claims: frozenset[Claim] = frozenset()
        self._held = contextlib.ExitStack()
        self._in_vain: dict[frozenset[Claim], MeasurementError] = {}

    def hold(self, claims: Iterable[Claim], timeout_s: float, on_wait: Callable[[str], None]) -> None:
        """Holds `claims` and nothing else, until told otherwise. Raises as device_locks does, and holds nothing then.
        What was waited for in vain is not waited for again: that raises the same at once, and gives nothing up.

        Other claims than before are taken once those are given up, so that two processes that want what the other has
        do not wait for each other.
        """
        wanted = frozenset(claims)
        if wanted == self._claims:
            return
        if wanted in self._in_vain:
            raise self._in_vain[wanted]
        self.release()
        try:
            self._held.enter_context(device_locks(wanted, timeout_s, on_wait, self._folder))
        except MeasurementError as error:
            self._in_vain[wanted] = error
            raise
        self._claims = wanted

    def release(self) -> None:
        self._claims = frozenset()
        self._held.close()


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


@dataclass(frozen=True)
class _Wait:
    """For what to wait, until when, and who hears of it."""

    device: str
    shared: bool
    deadline: float
    timeout_s: float
    on_wait: Callable[[str], None]


@contextmanager
def _held(wait: _Wait, folder: Path) -> Iterator[None]:
    handle = _acquire(wait, folder)
    try:
        _write_holder(handle)
        yield
    finally:
        with contextlib.suppress(OSError):
            # One who shares the device may have written over it.
            mine = _read_holder(handle)
            if mine is not None and mine.pid == os.getpid():
                os.ftruncate(handle, 0)
        # Said aloud: closing alone leaves the lock with a child that was forked meanwhile.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _acquire(wait: _Wait, folder: Path) -> int:
    told = False
    while True:
        handle = _open(wait.device, folder)
        locked = False
        try:
            locked = _try(handle, wait.shared) and _is_current(handle, folder / _file_name(wait.device))
            other = _read_holder(handle) or "another process"
        finally:
            if not locked:
                os.close(handle)
        if locked:
            return handle
        if time.monotonic() >= wait.deadline:
            raise MeasurementError(
                f"{wait.device} is still being measured by {other} after {wait.timeout_s:g} s of waiting; two"
                " measurements at once disturb each other: let that one end, stop it, or wait longer"
            )
        if not told:
            told = True
            wait.on_wait(f"{wait.device} is being measured by {other}; waiting for it, up to {wait.timeout_s:g} s")
        time.sleep(min(_POLL_S, max(0.0, wait.deadline - time.monotonic())))


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


def _try(handle: int, shared: bool = False) -> bool:
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_current(handle: int, path: Path) -> bool:
    """Whether the path still names the file that was locked: cleaners of /tmp may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _device_of(gpu_uuid: str) -> str:
    """Drivers before 470 name a slice MIG-GPU-.../1/0."""
    return gpu_uuid.replace("/", "_")


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
