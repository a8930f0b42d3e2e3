"""Whether what is written at the end of long work can be written: asked before it begins, and nothing is left behind.

Each check raises InputError that names the `option` and what stands in the way.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from tokgate.errors import InputError

# As Linux follows them.
_MOST_LINKS = 40


def behind(path: Path) -> Path:
    """The file that is written where `path` is named: itself, or what it leads to as a link, there or not yet.

    Raises OSError for links that lead to each other.
    """
    if not path.is_symlink():
        return path
    found = Path(os.path.realpath(path))
    if found.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return found


def check_file(option: str, path: Path, *, appended: bool = False) -> None:
    """Of a file that is replaced whole, or `appended` to, and whose folder is made where there is none.

    Appended to can be a character device too, as /dev/null. The folder of what a link leads to is not made.
    """
    expected = "expected the name of a file in a folder that can be written to"
    try:
        if path.is_dir():
            raise InputError(f"{option} {path}: that is a folder; {expected}")
        if path.exists() and not path.is_file() and not (appended and path.is_char_device()):
            # A device would be replaced as well, for everybody who uses it.
            raise InputError(f"{option} {path}: that is no regular file; {expected}")
        if not appended and _leads_to_the_system(path):
            # As /dev/stdout: a file that another program has open would be replaced under its hands.
            raise InputError(f"{option} {path}: that is a link into /proc or /dev; {expected}")
        if appended and path.exists():
            path.open("ab").close()
        elif path.is_symlink():
            # Its folder may be of a disk that is not mounted.
            _try_in(behind(path).parent, behind(path).name)
        else:
            _try(path.parent, path.name)
    except OSError as error:
        raise InputError(f"{option} {path}: it cannot be written: {error.strerror}; {expected}") from None


def check_folder(option: str, folder: Path) -> None:
    """Of a folder that is made where there is none, and gets files."""
    try:
        _try(folder, "tokgate")
    except OSError as error:
        raise InputError(
            f"{option} {folder}: no file can be written there: {error.strerror}; expected one that can be written to"
        ) from None


def _leads_to_the_system(path: Path) -> bool:
    """Whether `path` is a link and it, or what it leads to, or a link on the way, is in /proc or /dev.

    What /proc/self/fd/1 leads to may be a file of the user's, so the end of the way does not tell.
    """
    way = [path]
    while way[-1].is_symlink() and len(way) <= _MOST_LINKS:
        way.append(way[-1].parent / os.readlink(way[-1]))
    return len(way) > 1 and any(_is_of_the_system(Path(os.path.realpath(each.parent))) for each in way)


def _is_of_the_system(folder: Path) -> bool:
    # /dev/shm holds ordinary files.
    if folder.is_relative_to("/dev/shm"):
        return False
    return folder.is_relative_to("/proc") or folder.is_relative_to("/dev")


def _try(folder: Path, name: str) -> None:
    """Makes a file in `folder`, or where it would be made, and takes it away again. Raises OSError."""
    there = next((each for each in (folder, *folder.parents) if each.exists() or each.is_symlink()), folder)
    _try_in(there, name)


def _try_in(folder: Path, name: str) -> None:
    """Permissions are not asked: root has them all, on a disk that is read-only too."""
    # Called like the one that stands in for it while it is written: what has no room for that name has none for both.
    tempfile.NamedTemporaryFile(dir=folder, prefix=f".{name}.", suffix=".tmp").close()
