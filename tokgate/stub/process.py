"""A stub server in a process of its own, for the calibration of a client and for tests."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from tokgate.errors import MeasurementError

_PATIENCE_S = 10.0


@dataclass(frozen=True)
class StubProcess:
    """`url` has no slash at its end."""

    url: str
    pid: int


@contextlib.contextmanager
def running(*options: str) -> Iterator[StubProcess]:
    """Runs `tokgate stub-server` on a free port with `options`; it ends with the block, or with this process.

    Raises MeasurementError where it does not start.
    """
    argv = [sys.executable, "-m", "tokgate", "stub-server", "--port", "0", "--until-stdin-closes", *options]
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            url = child.stdout.readline().decode().strip()
            if not url:
                child.wait(_PATIENCE_S)
                log.seek(0)
                said = log.read().decode("utf-8", "replace").strip()
                raise MeasurementError(f"the stub server did not start (status {child.returncode}): {said}")
            yield StubProcess(url, child.pid)
        finally:
            child.stdin.close()
            child.stdout.close()
            try:
                child.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
