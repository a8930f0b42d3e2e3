"""What the process that keeps a server says of its end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

SERVER = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.{})
# What it leaves behind ends with it, and is not what is told of.
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({!r}, "w").close()
time.sleep(600)
"""


@pytest.mark.parametrize(("heed", "status"), [("SIG_IGN", 128 + 9), ("SIG_DFL", 128 + 15)])
def test_it_ends_with_the_status_of_its_server_whatever_ended_that(tmp_path: Path, heed: str, status: int) -> None:
    """Of one that did not heed SIGTERM nobody may say that it ended well."""
    ready = tmp_path / "ready"
    command = [sys.executable, "-c", SERVER.format(heed, str(ready))]
    plan = {"command": command, "environment": {}, "log": str(tmp_path / "log"), "cpus": None}
    argv = [sys.executable, "-m", "tokgate.serving.keeper", json.dumps(plan)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, text=True) as keeper:
        try:
            deadline_s = time.monotonic() + 30.0
            while not ready.exists():
                assert time.monotonic() < deadline_s, "the server did not start"
                time.sleep(0.02)
            keeper.communicate("stop 0.3\n", timeout=30)
        finally:
            keeper.kill()
    assert keeper.returncode == status
