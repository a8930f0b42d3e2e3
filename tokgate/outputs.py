"""Whether what is written at the end of long work can be written: asked before it begins, and nothing is left behind.

Each function raises InputError that names the `option` and what stands in the way.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tokgate.errors import InputError


def check_file(option: str, path: Path, *, appended: bool = False) -> None:
    """Of a file that is replaced whole, or `appended` to, and whose folder is made where there is none."""
    expected = "expected the name of a file in a folder that can be written to"
    try:
        if path.is_dir():
            raise InputError(f"{option} {path}: that is a folder; {expected}")
        if path.exists() and not path.is_file():
            # A device would be replaced as well, for everybody who uses it.
            raise InputError(f"{option} {path}: that is no regular file; {expected}")
        if appended and path.exists():
            path.open("ab").close()
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


def _try(folder: Path, name: str) -> None:
    """Makes a file in `folder`, or where it would be made, and takes it away again. Raises OSError.

    Its permissions are not asked: root has them all, on a disk that is read-only too.
    """
    there = next((each for each in (folder, *folder.parents) if each.exists() or each.is_symlink()), folder)
    # Called like the one that stands in for it while it is written: what has no room for that name has none for both.
    tempfile.NamedTemporaryFile(dir=there, prefix=f".{name}.", suffix=".tmp").close()
