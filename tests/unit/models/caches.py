"""What tests say and ask of a cache of models."""

from __future__ import annotations

from pathlib import Path


def silent(_: str) -> None:
    pass


def built(root: Path) -> list[str]:
    """What lies in the cache, but for its locks."""
    return sorted(path.name for path in root.iterdir() if not path.name.endswith(".lock"))
