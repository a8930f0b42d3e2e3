"""Whose a listening TCP port of this machine is, from /proc. Standard library alone.

Of processes of another user, or in another container, the open files cannot be read: then nobody is found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tokgate.machine import processes
from tokgate.machine.files import REAL_ROOT, read_text

_LISTENS = "0A"


def listening_family(port: int, root: Path = REAL_ROOT) -> frozenset[int]:
    """The pids of those who listen on the port, and of all that these have started.

    Without whoever started this process too, as the init of a machine that listens for its services: everybody is of
    its family.
    """
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, root)}
    if not sockets:
        return frozenset()
    listed = processes.scan(root)
    listeners = {pid for pid in listed if any(link in sockets for link in _open_files(root, pid))}
    families = [processes.descendants(listed, pid) | {pid} for pid in listeners]
    return frozenset().union(*(family for family in families if os.getpid() not in family))


def _inodes(port: int, root: Path) -> Iterator[str]:
    """A row is: number, local address:port in hexadecimal, remote address:port, state, six more, and the inode."""
    for table in ("tcp", "tcp6"):
        for line in (read_text(root, f"proc/net/{table}") or "").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _open_files(root: Path, pid: int) -> Iterator[str]:
    with suppress(OSError):
        for entry in os.scandir(root / "proc" / str(pid) / "fd"):
            with suppress(OSError):
                yield os.readlink(entry.path)
