"""Children report events, fail loudly, and die with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from tokgate.child import ChildError, Event, run_child

pytestmark = pytest.mark.unit

HEAD = "from tokgate.child import child_events\nimport os, sys, time\nemit = child_events()\n"


def script(tmp_path: Path, body: str, name: str = "child.py") -> list[str]:
    path = tmp_path / name
    path.write_text(HEAD + textwrap.dedent(body))
    return [sys.executable, str(path)]


def test_events_arrive_in_order_and_prints_do_not_disturb(tmp_path: Path) -> None:
    heard: list[Event] = []
    run_child(
        script(
            tmp_path,
            'print("noise"); os.write(1, b"noise\\n"); emit({"event": "a"}); emit({"event": "done"})',
        ),
        heard.append,
    )
    assert [event["event"] for event in heard] == ["a", "done"]


def test_a_child_that_ends_early_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="before it was done"):
        run_child(script(tmp_path, 'emit({"event": "a"})'), lambda event: None)


def test_a_crash_shows_the_last_words(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="the reason"):
        run_child(script(tmp_path, 'raise RuntimeError("the reason")'), lambda event: None)


def test_its_own_word_on_the_error_comes_first(tmp_path: Path) -> None:
    with pytest.raises(ChildError) as error:
        run_child(
            script(tmp_path, 'emit({"event": "error", "message": "no model"}); sys.exit(1)'),
            lambda event: None,
        )
    assert str(error.value) == "no model"


def test_a_kill_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="SIGKILL"):
        run_child(script(tmp_path, "os.kill(os.getpid(), 9)"), lambda event: None)


def test_an_error_in_the_listener_kills_the_child(tmp_path: Path) -> None:
    """Ctrl-C arrives as an exception in the parent; the child and its own children must not outlive it."""
    heard: list[Event] = []

    def listen(event: Event) -> None:
        heard.append(event)
        raise KeyboardInterrupt

    body = """
        import subprocess
        grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        emit({"event": "up", "pids": [os.getpid(), grandchild.pid]})
        time.sleep(600)
    """
    with pytest.raises(KeyboardInterrupt):
        run_child(script(tmp_path, body), listen)
    assert all(_gone(pid) for pid in heard[0]["pids"])


def test_a_killed_parent_takes_the_child_along(tmp_path: Path) -> None:
    child = script(tmp_path, 'emit({"event": "up", "pid": os.getpid()}); time.sleep(600)')
    parent = tmp_path / "parent.py"
    parent.write_text(
        "import sys\nfrom tokgate.child import run_child\n"
        f"run_child({child!r}, lambda event: print(event['pid'], flush=True))\n"
    )
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, str(parent)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert _gone(pid)


def _gone(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            process.wait(timeout=20)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True
