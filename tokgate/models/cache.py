"""A folder of built things, each whole or not there: built once under a lock, beside its place, then renamed.

ROOT/<name>/            an entry; its manifest, written last, lists its files and what was noted
ROOT/.<name>.lock       held while the entry is built; the kernel frees it when its holder dies
ROOT/.<name>.*.partial  a build on its way; one whose lock is free is a leftover, and is removed
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tokgate.errors import MeasurementError

MANIFEST = "tokgate-manifest.json"
LOCK_TIMEOUT_S = 3600.0

Meta = dict[str, Any]
Report = Callable[[str], None]


def default_cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's cache folder for tokgate."""
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tokgate"


@dataclass(frozen=True)
class Entry:
    path: Path
    meta: Meta


@dataclass(frozen=True)
class Cache:
    root: Path

    def find(self, name: str) -> Entry | None:
        """The entry, if it is whole: its manifest readable, each file there and of the noted size."""
        path = self.root / name
        try:
            manifest = json.loads((path / MANIFEST).read_text())
            whole = all((path / file).stat().st_size == size for file, size in manifest["files"].items())
        except (OSError, ValueError, KeyError):
            return None
        return Entry(path, manifest["meta"]) if whole else None

    def get(self, name: str, build: Callable[[Path], Meta], report: Report, timeout_s: float = LOCK_TIMEOUT_S) -> Entry:
        """The entry, built by `build(empty folder)` if it is not there; one process builds, others wait.

        Whatever `build` raises leaves no trace. Raises MeasurementError for a full disk, or when
        another build of the same entry does not end within `timeout_s`.
        """
        found = self.find(name)
        if found is not None:
            return found
        self.root.mkdir(parents=True, exist_ok=True)
        with self._locked(name, report, timeout_s):
            found = self.find(name)
            if found is None:
                self._remove_leftovers(name)
                self._build(name, build)
                found = self.find(name)
        assert found is not None
        return found

    def _remove_leftovers(self, own: str) -> None:
        """Removes what killed builds left; those still on their way hold their lock and are let be."""
        for partial in self.root.glob(".*.partial"):
            name = partial.name[1:].rsplit(".", 2)[0]
            if name == own:  # we hold its lock
                shutil.rmtree(partial, ignore_errors=True)
                continue
            with contextlib.suppress(Timeout), FileLock(self._lock_path(name), timeout=0):
                shutil.rmtree(partial, ignore_errors=True)

    def _build(self, name: str, build: Callable[[Path], Meta]) -> None:
        partial = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".partial", dir=self.root))
        try:
            meta = build(partial)
            files = {
                str(file.relative_to(partial)): file.stat().st_size
                for file in sorted(partial.rglob("*"))
                if file.is_file()
            }
            (partial / MANIFEST).write_text(json.dumps({"meta": meta, "files": files}, indent=1) + "\n")
            _make_durable(partial)
            self._put(partial, self.root / name)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise MeasurementError(disk_full(self.root, name)) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _put(self, partial: Path, target: Path) -> None:
        if target.exists():  # an entry that is not whole: a file of it was removed or cut
            shutil.rmtree(target)
        os.rename(partial, target)
        _sync(self.root)

    @contextlib.contextmanager
    def _locked(self, name: str, report: Report, timeout_s: float) -> Iterator[None]:
        lock = FileLock(self._lock_path(name))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            report(f"{name}: another process is building it; waiting (up to {timeout_s:.0f} s)")
            try:
                lock.acquire(timeout=timeout_s, poll_interval=0.1)
            except Timeout:
                raise MeasurementError(
                    f"{name} is still being built by another process after {timeout_s:.0f} s; end that "
                    f"process, or see who holds {self._lock_path(name)}"
                ) from None
        try:
            yield
        finally:
            lock.release()

    def _lock_path(self, name: str) -> Path:
        return self.root / f".{name}.lock"


def disk_full(root: Path, name: str) -> str:
    """The message for a full disk."""
    with contextlib.suppress(OSError):
        free = f"{shutil.disk_usage(root).free / 1e9:.2f} GB free"
        return f"the disk is full ({root}: {free}), {name} was not built: make room, or choose another folder"
    return f"the disk is full and {name} was not built"


def _make_durable(folder: Path) -> None:
    """What the rename makes visible must survive a power cut, and be readable by all whom the umask lets."""
    umask = os.umask(0)
    os.umask(umask)
    folder.chmod(0o777 & ~umask)
    for path in folder.rglob("*"):
        if path.is_symlink():
            continue
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
