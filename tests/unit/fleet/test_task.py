"""What runs on a node: a module named pytest in a scripted checkout stands for the real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from tokgate.fleet import task
from tokgate.fleet.cluster import CARRIED
from tokgate.fleet.task import Answer, Order, carried, run

pytestmark = pytest.mark.unit

_HANGS = """
    import os, pathlib, time
    pathlib.Path("pid.tmp").write_text(str(os.getpid()))
    os.replace("pid.tmp", "pid")
    time.sleep(600)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "tokgate").mkdir()
    return tmp_path


def script(checkout: Path, body: str) -> None:
    (checkout / "pytest.py").write_text(textwrap.dedent(body))


def ask(checkout: Path, timeout_s: float = 60, python: str | None = None) -> Answer:
    return run(Order(str(checkout), python, ("-m", "cpu"), timeout_s))


def test_the_session_the_status_and_the_log_come_back(checkout: Path) -> None:
    script(
        checkout,
        """
        import pathlib, sys
        option, folder = sys.argv[-1].split("=")
        assert (option, sys.argv[1:3]) == ("--perf-sessions", ["-m", "cpu"])
        pathlib.Path(folder).mkdir()
        pathlib.Path(folder, "night.json").write_text("{}")
        print("1 failed")
        sys.exit(1)
        """,
    )
    found = ask(checkout)
    assert (found.status, found.reason, found.sessions, found.tail) == (1, "", (b"{}",), "1 failed")
    assert Path(found.log).read_text() == "1 failed\n", "the log stays on the node"


def test_plain_data_goes_in_and_comes_out(checkout: Path) -> None:
    """What Ray carries must not be an instance of a class that was itself carried."""
    script(checkout, "")
    order = {"checkout": str(checkout), "python": None, "arguments": ("-m", "cpu"), "timeout_s": 60.0}
    assert Answer(**carried(order)).status == 0


def test_settings_that_ray_made_do_not_reach_the_measurement(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_JOB_ID", "01000000")
    script(checkout, "import json, os; print(json.dumps(dict(os.environ)))")
    env = json.loads(ask(checkout).tail)
    assert not [name for name in env if name.startswith("RAY_") or name == "OMP_NUM_THREADS"]
    assert env["PATH"] == os.environ["PATH"]


def test_a_node_without_the_checkout_says_so(tmp_path: Path) -> None:
    found = ask(tmp_path / "nowhere")
    assert found.status is None
    assert "--checkout" in found.reason


def test_an_interpreter_is_looked_for_in_the_checkout(checkout: Path) -> None:
    script(checkout, "import sys; print(sys.executable)")
    found = ask(checkout, python=".venv/bin/python")
    assert found.status is None
    assert ".venv/bin/python cannot be run" in found.reason
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(sys.executable)
    assert ask(checkout, python=".venv/bin/python").tail == str(checkout / ".venv/bin/python")


def test_a_run_that_takes_too_long_is_stopped(checkout: Path) -> None:
    script(checkout, _HANGS)
    found = ask(checkout, timeout_s=1)
    assert found.status is None
    assert "--timeout" in found.reason
    if (checkout / "pid").exists():  # a busy machine may not have come as far
        assert not psutil.pid_exists(int((checkout / "pid").read_text()))


@pytest.mark.usefixtures("deathless")
def test_a_run_that_does_not_die_is_told_and_left(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits inside a driver would hold the node for ever."""
    monkeypatch.setattr(task, "_STOP_S", 0.1)
    script(checkout, "import os; print(os.getpid(), flush=True); os.kill(os.getpid(), 19)")
    found = ask(checkout, timeout_s=2)
    assert found.status is None
    assert found.reason.startswith(
        f"it had not ended after 2 s (--timeout); it was killed, but does not die (process {found.tail} is still there"
    )
    assert "look at dmesg" in found.reason


def test_all_that_it_needs_of_tokgate_is_carried_with_it() -> None:
    """On the node Ray may find no tokgate."""
    needed = {str(getattr(value, "__module__", "")) for module in CARRIED for value in vars(module).values()}
    assert {name for name in needed if name.startswith("tokgate")} == {module.__name__ for module in CARRIED}
    assert task.__name__ in {module.__name__ for module in CARRIED}


def test_a_run_ends_with_the_worker_that_started_it(checkout: Path) -> None:
    """Even with one that is killed: what runs on would hold the device lock against Ray's retry."""
    script(checkout, _HANGS)
    code = f"from tokgate.fleet.task import Order, run; run(Order({str(checkout)!r}, None, (), 600))"
    with subprocess.Popen([sys.executable, "-c", code]) as worker:
        while not (checkout / "pid").exists():
            assert worker.poll() is None
            os.sched_yield()
        measured = psutil.Process(int((checkout / "pid").read_text()))
        worker.kill()
    assert psutil.wait_procs([measured], timeout=30)[1] == []


def test_the_checkouts_commit_is_told(checkout: Path) -> None:
    script(checkout, "")
    assert ask(checkout).commit is None
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example"]
    (checkout / ".gitignore").write_text(".tokgate\n__pycache__\n")
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *words], cwd=checkout, check=True)
    found = ask(checkout)
    assert (len(found.commit or ""), found.clean) == (40, True)
    script(checkout, "print()")
    assert ask(checkout).clean is False
