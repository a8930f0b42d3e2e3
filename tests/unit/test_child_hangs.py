"""A child that hangs is ended, one that cannot be is told, and one that is slow is left alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.unit.children import script
from tests.unit.gone import is_gone
from tokgate.besides import notes_of
from tokgate.child import Child, ChildError, Event, run_child

pytestmark = pytest.mark.unit


def test_a_child_that_hangs_is_stopped_with_what_it_started(tmp_path: Path) -> None:
    """An engine that waits for a kernel that never ends must not hold the gate for ever."""
    body = """
        import subprocess
        grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print("the last thing it said", file=sys.stderr, flush=True)
        emit({"event": "up", "pids": [os.getpid(), grandchild.pid]})
        time.sleep(600)
    """
    heard: list[Event] = []
    with pytest.raises(ChildError) as error:
        run_child(script(tmp_path, body), heard.append, silence_s=2.0)
    assert "reported nothing for 2 s after its event 'up'" in str(error.value)
    assert "the last thing it said" in error.value.tail
    assert all(is_gone(pid) for pid in heard[0]["pids"])


def test_a_child_that_never_says_a_word_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"nothing for 0\.5 s from its start on"):
        run_child(script(tmp_path, "time.sleep(600)"), lambda event: None, silence_s=0.5)


@pytest.mark.usefixtures("deathless")
def test_a_child_that_does_not_die_is_told_and_left(tmp_path: Path) -> None:
    """The kernel kills nothing that waits inside a driver: the locks must not be held as long as that does."""
    body = 'print("its last word", flush=True); emit({"event": "up", "pid": os.getpid()}); os.kill(os.getpid(), 19)'
    heard: list[Event] = []
    with Child(script(tmp_path, body)) as child:
        with pytest.raises(ChildError) as error:
            child.hear(heard.append, silence_s=2.0)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 0.4, "it was waited for once"
    assert "reported nothing for 2 s after its event 'up'" in str(error.value)
    assert f"does not die (process {heard[0]['pid']} is still there 0.5 s later" in str(error.value)
    assert "look at dmesg" in str(error.value)
    assert (error.value.returncode, error.value.tail) == (None, "its last word")


@pytest.mark.usefixtures("deathless")
def test_a_child_that_does_not_die_is_left_for_what_its_listener_raised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And told of: with a Ctrl-C it was a silent minute, and a process left on the GPU."""
    heard: list[Event] = []

    def listen(event: Event) -> None:
        heard.append(event)
        raise KeyboardInterrupt

    body = 'emit({"event": "up", "pid": os.getpid()}); os.kill(os.getpid(), 19)'
    with pytest.raises(KeyboardInterrupt) as told:
        run_child(script(tmp_path, body), listen)
    (said,) = notes_of(told.value)
    assert said.startswith(f"a child process was killed, but does not die (process {heard[0]['pid']} is still there")
    assert capsys.readouterr().err == f"tokgate: {said}\n"


@pytest.mark.usefixtures("deathless")
def test_a_child_that_does_not_die_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever leaves it, with no error or with that one, and however often."""
    hangs = script(tmp_path, 'emit({"event": "up"}); os.kill(os.getpid(), 19)')
    child = Child(hangs)
    child.hear_until("up", silence_s=20)
    child.close()
    child.close()
    assert capsys.readouterr().err.count("does not die") == 1
    with pytest.raises(ChildError, match="does not die"):
        run_child(hangs, lambda event: None, silence_s=1.0)
    assert capsys.readouterr().err == ""


def test_prints_are_no_sign_of_life(tmp_path: Path) -> None:
    body = "\nwhile True:\n    os.write(2, b'working\\n'); time.sleep(0.05)"
    with pytest.raises(ChildError, match="reported nothing"):
        run_child(script(tmp_path, body), lambda event: None, silence_s=1.0)


def test_a_child_that_says_it_is_done_and_stays_is_stopped(tmp_path: Path) -> None:
    body = 'emit({"event": "done"}); os.close(1); time.sleep(600)'
    with pytest.raises(ChildError, match="after its event 'done'"):
        run_child(script(tmp_path, body), lambda event: None, silence_s=2.0)


def test_a_slow_child_that_reports_is_left_alone(tmp_path: Path) -> None:
    body = """
        for number in range(8):
            time.sleep(0.5)
            emit({"event": "round"})
        emit({"event": "done"})
    """
    heard: list[Event] = []
    run_child(script(tmp_path, body), heard.append, silence_s=3.0)
    assert len(heard) == 9
