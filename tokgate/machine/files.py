"""Reading /proc and /sys below a root that tests replace by a recorded tree. Standard library alone."""

from __future__ import annotations

from pathlib import Path

REAL_ROOT = Path("/")


def read_text(root: Path, path: str) -> str | None:
    """The stripped text of `path` (without its leading slash) below `root`; None where it cannot be read."""
    try:
        return (root / path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def read_int(root: Path, path: str) -> int | None:
    """The integer `path` holds; None where there is none (missing, 'max', empty)."""
    try:
        return int(read_text(root, path) or "")
    except ValueError:
        return None


def read_table(root: Path, path: str) -> dict[str, str]:
    """Lines of 'key: value' or 'key value' as a dict; empty where the file cannot be read."""
    table: dict[str, str] = {}
    for line in (read_text(root, path) or "").splitlines():
        key, separator, value = line.partition(":" if ":" in line else " ")
        if separator:
            table[key.strip()] = value.strip()
    return table


def bytes_of(table: dict[str, str], key: str) -> int | None:
    """Bytes of a '1234 kB' entry of /proc/meminfo or /proc/self/status."""
    words = table.get(key, "").split()
    return int(words[0]) * 1024 if words and words[0].isdigit() else None


def cpu_list(text: str) -> frozenset[int]:
    """The CPUs of a kernel list such as '0-3,8'."""
    cpus: set[int] = set()
    for part in text.replace("\n", ",").split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit():
            cpus.update(range(int(first), int(last or first) + 1))
    return frozenset(cpus)
