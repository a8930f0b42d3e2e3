"""Children report events, fail loudly, and die with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.unit.children import script
from tests.unit.gone import is_gone
from tokgate.child import Child, ChildError, Event, run_child

pytestmark = pytest.mark.unit


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


def test_a_child_waits_until_it_is_told_to_go_on(tmp_path: Path) -> None:
    """Once for each wait, however early it is told."""
    body = """
        from tokgate.child import await_parent
        emit({"event": "ready"}); await_parent(); emit({"event": "set"}); await_parent(); emit({"event": "done"})
    """
    heard: list[Event] = []
    with Child(script(tmp_path, body)) as child:
        child.go_on()
        child.hear_until("set", silence_s=20)
        child.go_on()
        child.hear(heard.append, silence_s=20)
    assert [event["event"] for event in heard] == ["done"]


def test_a_child_that_is_not_told_to_go_on_waits(tmp_path: Path) -> None:
    body = 'from tokgate.child import await_parent\nawait_parent(); emit({"event": "done"})'
    with Child(script(tmp_path, body)) as child, pytest.raises(ChildError, match="nothing for 1 s from its start on"):
        child.hear(lambda event: None, silence_s=1.0)


def test_of_a_child_that_ended_while_it_waited_its_own_word_is_heard_later(tmp_path: Path) -> None:
    body = 'emit({"event": "error", "message": "no such engine"}); raise SystemExit(1)'
    with Child(script(tmp_path, body)) as child:
        child.hear_until("imported", silence_s=20)
        child.go_on()
        with pytest.raises(ChildError, match="no such engine"):
            child.hear(lambda event: None, silence_s=20)


def test_a_child_that_is_left_while_it_waits_is_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    body = (
        f"open({str(pid_file)!r}, 'w').write(str(os.getpid())); emit({{'event': 'up'}})\n"
        "from tokgate.child import await_parent\nawait_parent()"
    )
    with Child(script(tmp_path, body)) as child:
        child.hear_until("up", silence_s=20)
    assert is_gone(int(pid_file.read_text()))


def test_a_paused_child_does_nothing_nor_does_what_it_started(tmp_path: Path) -> None:
    body = """
        spins = os.fork()
        while spins == 0: pass
        emit({"event": "up", "pids": [os.getpid(), spins]})
        while True: emit({"event": "turn"}); time.sleep(0.01)
    """
    with Child(script(tmp_path, body)) as child:
        up = child.hear_until("up", silence_s=20)
        assert up is not None
        processes = [psutil.Process(pid) for pid in up["pids"]]
        child.pause()
        until = time.monotonic() + 20
        while {process.status() for process in processes} != {psutil.STATUS_STOPPED}:
            assert time.monotonic() < until
        child.resume()
        assert child.hear_until("turn", silence_s=20)
        child.pause()
    assert all(is_gone(process.pid) for process in processes), "one that is left while it is paused is ended"
    child.pause()


def test_a_child_that_ends_early_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="before it was done"):
        run_child(script(tmp_path, 'emit({"event": "a"})'), lambda event: None)


def test_a_crash_shows_the_last_words(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="the reason"):
        run_child(script(tmp_path, 'raise RuntimeError("the reason")'), lambda event: None)


def test_what_it_prints_is_kept_where_asked(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "launch.log"
    run_child(script(tmp_path, 'print("loading"); emit({"event": "done"})'), lambda event: None, log=log)
    assert log.read_text() == "loading\n"


def test_its_own_word_on_the_error_comes_first(tmp_path: Path) -> None:
    with pytest.raises(ChildError) as error:
        run_child(
            script(tmp_path, 'emit({"event": "error", "message": "no model"}); sys.exit(1)'),
            lambda event: None,
        )
    assert str(error.value) == "no model"


def test_the_first_error_of_its_log_is_told_beside_its_own(tmp_path: Path) -> None:
    body = (
        "print('(EngineCore pid=7) Traceback (most recent call last):\\n  File x\\nValueError: no memory')\n"
        "emit({'event': 'error', 'message': 'RuntimeError: see above'}); raise SystemExit(1)"
    )
    with pytest.raises(ChildError, match="RuntimeError: see above; the first error in its log: ValueError: no memory"):
        run_child(script(tmp_path, body), lambda event: None)


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
    assert all(is_gone(pid) for pid in heard[0]["pids"])


def test_events_that_come_in_pieces_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "pieces.py"
    path.write_text(
        "import os, time\nlong = 'x' * 200_000\n"
        'text = \'{"event": "a", "long": "\' + long + \'"}\\nno event\\n[1]\\n{"event": "done"}\'\n'
        "for start in range(0, len(text), 50_000):\n"
        "    os.write(1, text[start : start + 50_000].encode()); time.sleep(0.01)\n"
    )
    heard: list[Event] = []
    run_child([sys.executable, str(path)], heard.append, silence_s=20)
    assert [event["event"] for event in heard] == ["a", "done"]
    assert len(heard[0]["long"]) == 200_000


def test_what_a_dead_child_leaves_behind_is_ended(tmp_path: Path) -> None:
    """An engine's own process outlives a worker that crashed, and holds the GPU's memory."""
    body = """
        import subprocess
        left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=2)
        emit({"event": "up", "pid": left.pid})
        os.kill(os.getpid(), 9)
    """
    heard: list[Event] = []
    with pytest.raises(ChildError, match="SIGKILL"):
        run_child(script(tmp_path, body), heard.append)
    assert is_gone(heard[0]["pid"])


def test_what_a_killed_child_forked_does_not_outlive_it(tmp_path: Path) -> None:
    """Engines fork processes, which hold the pipe open: the kill is told at once, and they end too."""
    heard: list[Event] = []
    body = """
        forked = os.fork()
        if forked:
            emit({"event": "up", "pid": forked})
            os.kill(os.getpid(), 9)
        time.sleep(600)
    """
    with pytest.raises(ChildError, match="SIGKILL"):
        run_child(script(tmp_path, body), heard.append)
    assert is_gone(heard[0]["pid"])


def test_a_killed_parent_takes_the_child_along(tmp_path: Path) -> None:
    """And what the child forked."""
    body = """
        forked = os.fork()
        if forked:
            emit({"event": "up", "pids": [os.getpid(), forked]})
        time.sleep(600)
    """
    child = script(tmp_path, body)
    parent = tmp_path / "parent.py"
    parent.write_text(
        "import sys\nfrom tokgate.child import run_child\n"
        f"run_child({child!r}, lambda event: print(*event['pids'], flush=True))\n"
    )
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, str(parent)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert process.stdout is not None
    pids = list(map(int, process.stdout.readline().split()))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert all(map(is_gone, pids))
