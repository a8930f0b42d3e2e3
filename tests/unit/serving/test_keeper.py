"""What the process that keeps a server says of its end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
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


# A keeper whose SIGKILL ends nothing, as where processes wait inside a driver.
POWERLESS = """
import os, sys
from tokgate.serving import keeper
os.kill, keeper.DEATH_S = lambda pid, number: None, 0.5
sys.exit(keeper.main(sys.argv[1:]))
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


def test_those_that_do_not_die_are_told_and_left(tmp_path: Path) -> None:
    """It must not wait for them for ever, and whoever waits for it must hear of them."""
    own = tmp_path / "pid"
    code = f"import os, time; open({str(own)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    plan = {"command": [sys.executable, "-c", code], "environment": {}, "log": str(tmp_path / "log"), "cpus": None}
    argv = [sys.executable, "-c", POWERLESS, json.dumps(plan)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
        try:
            deadline_s = time.monotonic() + 30.0
            while not own.exists() or not own.read_text():
                assert time.monotonic() < deadline_s, "the server did not start"
                time.sleep(0.02)
            told, _ = keeper.communicate(timeout=30)
        finally:
            keeper.kill()
            with contextlib.suppress(ProcessLookupError, ValueError, OSError):
                os.kill(int(own.read_text()), signal.SIGKILL)
    assert (told, keeper.returncode) == (own.read_text(), 1)
