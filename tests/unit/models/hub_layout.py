"""A hub's cache made by hand."""

from __future__ import annotations

from pathlib import Path

REVISION = "0123456789abcdef0123456789abcdef01234567"


def lay_out(cache: Path, hub_id: str, revision: str, files: dict[str, bytes]) -> Path:
    """A snapshot as huggingface_hub lays it out: blobs, and links to them by revision."""
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    snapshot = repository / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for number, (name, content) in enumerate(files.items()):
        blob = repository / "blobs" / str(number)
        blob.write_bytes(content)
        (snapshot / name).symlink_to(blob)
    return snapshot
