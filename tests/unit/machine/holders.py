"""Other processes that hold devices."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DEVICE = "cpu-package-test"
HOLD = """
import sys
from pathlib import Path
from tokgate.machine.lock import device_lock
with device_lock(sys.argv[1], 30, print, Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""
HOLD_ALL = """
import sys
from pathlib import Path
from tokgate.machine.lock import Claim, device_locks
claims = [Claim(name.removeprefix("~"), name.startswith("~")) for name in sys.argv[2:]]
with device_locks(claims, 30, print, Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def held_by_another(folder: Path, device: str = DEVICE) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    return _holding(HOLD, device, str(folder), "--hf-token=hf_verysecret")


def all_held_by_another(folder: Path, *devices: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """`devices` as in `HOLD_ALL`: '~' before those that are shared."""
    return _holding(HOLD_ALL, str(folder), *devices)


@contextlib.contextmanager
def _holding(code: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs `code`, from when it holds what it was told to."""
    command = [sys.executable, "-c", code, *args]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def no_wait(said: str) -> None:
    pytest.fail(f"waited: {said}")
