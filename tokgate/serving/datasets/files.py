"""Files that people name with --dataset-path."""

from __future__ import annotations

from pathlib import Path

from tokgate.errors import InputError


def read(path: Path, expected: str) -> str:
    """The file's text. Raises InputError where it cannot be read as UTF-8, saying what was `expected`."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"--dataset-path {path}: no such file; expected {expected}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--dataset-path {path}: {error}; expected {expected}") from None
