"""The life of a server, and its ways to die: whatever happens, nothing of it is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.unit.serving.fakes import fake_python
from tokgate.besides import notes_of
from tokgate.errors import InputError, MeasurementError, TokgateError
from tokgate.serving import server as server_module
from tokgate.serving.server import HOST, Server, ServerCommand, free_port, told_after

pytestmark = pytest.mark.unit

START_S = 60.0
# A process of the server that has left its session, as a daemon does.
ORPHAN = """
orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open({path!r}, "w").write(str(orphan.pid))
"""
HELD = """
from pathlib import Path
from tokgate.serving.vllm_cli import HOLD, hold
open({pid!r}, "w").write(str(os.getpid()))
sys.argv = hold(Path(os.environ[HOLD]))
"""
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
OWNER = """
import sys
from pathlib import Path
from tokgate.serving.server import Server, ServerCommand
with Server(ServerCommand([{python!r}, "--port={port}", "--served-model-name=m"], {port}, Path({log!r}))) as server:
    server.wait_ready({start_s})
    print("ready", flush=True)
    sys.stdin.read()
"""


def command(folder: Path, *stub: str, before: str = "", cpus: frozenset[int] | None = None) -> ServerCommand:
    port = free_port()
    python = fake_python(folder, *stub, before=before)
    return ServerCommand([python, f"--port={port}", "--served-model-name=m"], port, folder / "log", {}, cpus)


def until(condition: Callable[[], bool], most_s: float = 30.0) -> bool:
    deadline_s = time.monotonic() + most_s
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return condition()


def is_gone(pid: int) -> bool:
    """A zombie that nobody has reaped yet is dead too."""
    try:
        return ") Z" in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_a_server_answers_from_its_start_to_its_end(tmp_path: Path) -> None:
    with Server(command(tmp_path)) as server:
        assert server.wait_ready(START_S) > 0
        assert urllib.request.urlopen(f"{server.base_url}/v1/models").status == 200
        server.check()
        assert server.tail().startswith("fake vLLM starts")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{server.base_url}/health")


def test_it_stays_on_the_cpus_it_is_given(tmp_path: Path) -> None:
    cpu = max(os.sched_getaffinity(0))
    told = tmp_path / "cpus"
    before = f"open({str(told)!r}, 'w').write(str(os.sched_getaffinity(0)))"
    with Server(command(tmp_path, before=before, cpus=frozenset({cpu}))) as server:
        server.wait_ready(START_S)
    assert told.read_text() == f"{{{cpu}}}"


def test_one_that_dies_at_its_start_says_its_last_words(tmp_path: Path) -> None:
    before = "print('ValueError: no kernel for this GPU'); sys.exit(3)"
    with (
        pytest.raises(
            MeasurementError, match=r"ended with status 3; its log .*/log ends:\n(.|\n)*no kernel for this GPU"
        ),
        Server(command(tmp_path, before=before)) as server,
    ):
        server.wait_ready(START_S)


def test_one_that_never_gets_ready_is_told_with_the_time_it_had(tmp_path: Path) -> None:
    with (
        pytest.raises(MeasurementError, match=r"did not answer http://127.0.0.1:\d+/health within 1 s of its start"),
        Server(command(tmp_path, before="time.sleep(600)")) as server,
    ):
        server.wait_ready(1.0)


def test_one_that_is_held_starts_when_it_is_told_and_ends_untold(tmp_path: Path) -> None:
    for told in (False, True):
        folder = tmp_path / str(told)
        folder.mkdir()
        with Server(command(tmp_path, before=HELD.format(pid=str(folder / "pid"))), hold=folder) as server:
            server.wait_imported(START_S)
            assert server.tail().endswith("fake vLLM starts")
            if told:
                server.go_on()
                server.wait_ready(START_S)
        assert is_gone(int((folder / "pid").read_text()))
        server.stop()


def test_one_that_is_held_starts_on_a_port_that_is_free_when_it_is_told(tmp_path: Path) -> None:
    """The one of its command may be another's by then."""
    asked = command(tmp_path, before=HELD.format(pid=str(tmp_path / "pid")))
    with socket.create_server((HOST, asked.port)), Server(asked, hold=tmp_path) as server:
        server.wait_imported(START_S)
        server.go_on()
        server.wait_ready(START_S)
        assert server.base_url != f"http://{HOST}:{asked.port}"


@pytest.mark.parametrize("held", [True, False])
def test_what_a_killed_keeper_kept_goes_too(tmp_path: Path, held: bool) -> None:
    own = tmp_path / "pid"
    before = HELD.format(pid=str(own)) if held else f"open({str(own)!r}, 'w').write(str(os.getpid()))"
    with Server(command(tmp_path, before=before), hold=tmp_path if held else None) as server:
        if held:
            server.wait_imported(START_S)
        else:
            server.wait_ready(START_S)
        keeper = psutil.Process(int(own.read_text())).parent()
        assert keeper is not None
        keeper.kill()
        with pytest.raises(MeasurementError, match="the server died of SIGKILL"):
            until(lambda: bool(server.check()))
    assert until(lambda: is_gone(int(own.read_text())))


def test_one_that_never_imports_is_told_with_the_time_it_had(tmp_path: Path) -> None:
    with (
        pytest.raises(MeasurementError, match=r"libraries were not imported within 0\.5 s; its log .* ends:"),
        Server(command(tmp_path, before="time.sleep(600)"), hold=tmp_path) as server,
    ):
        server.wait_imported(0.5)


def test_one_that_is_killed_is_missed(tmp_path: Path) -> None:
    own = tmp_path / "pid"
    with Server(command(tmp_path, before=f"open({str(own)!r}, 'w').write(str(os.getpid()))")) as server:
        server.wait_ready(START_S)
        os.kill(int(own.read_text()), signal.SIGKILL)

        def is_missed() -> bool:
            try:
                server.check()
            except MeasurementError as error:
                return "the server died of SIGKILL: often the kernel, out of memory" in str(error)
            return False

        assert until(is_missed)


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    own = tmp_path / "pid"
    before = f"open({str(own)!r}, 'w').write(str(os.getpid())); {DEAF}"
    with Server(command(tmp_path, before=before), term_s=0.2):
        assert until(lambda: own.exists() and bool(own.read_text()))
    assert is_gone(int(own.read_text()))


def stopped_keeper(folder: Path) -> int:
    """The pid of the keeper of the server that wrote its own there."""
    assert until(lambda: (folder / "pid").exists() and bool((folder / "pid").read_text()))
    keeper = psutil.Process(int((folder / "pid").read_text())).parent()
    assert keeper is not None
    keeper.suspend()
    return keeper.pid


@pytest.mark.usefixtures("deathless")
def test_one_that_does_not_die_is_told_and_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel kills nothing that waits inside a driver: the locks must not be held as long as that does."""
    monkeypatch.setattr(server_module, "_KEEPER_S", 0.1)
    before = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))"
    server = Server(command(tmp_path, before=before), term_s=0.1)
    with pytest.raises(MeasurementError) as told, server:
        keeper = stopped_keeper(tmp_path)
    assert str(told.value).startswith(
        f"the server was killed, but does not die (process {keeper} is still there 0.5 s later"
    )
    server.stop()


@pytest.mark.usefixtures("deathless")
def test_that_it_does_not_die_hides_no_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server_module, "_KEEPER_S", 0.1)
    before = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))"
    with pytest.raises(ZeroDivisionError), Server(command(tmp_path, before=before), term_s=0.1):
        stopped_keeper(tmp_path) / 0
    assert "tokgate: the server was killed, but does not die" in capfd.readouterr().err


@pytest.mark.parametrize("second", [InputError, MeasurementError])
def test_what_fails_while_all_ends_is_a_note_of_the_first_reason(
    second: type[TokgateError], capsys: pytest.CaptureFixture[str]
) -> None:
    """A GPU that fell off the bus is none that CUDA_VISIBLE_DEVICES could name, which is an InputError."""
    first = ValueError("first")
    with told_after(first):
        raise second("here are none")
    assert notes_of(first) == ["here are none"]
    assert capsys.readouterr().err == "tokgate: here are none\n"
    with pytest.raises(second), told_after(None):
        raise second("here are none")


def test_its_log_holds_what_it_says_and_nothing_of_the_one_before(tmp_path: Path) -> None:
    """A launch that was killed and is made again has the same name, and so the same log."""
    before = command(tmp_path, before="time.sleep(600)")
    before.log.write_text("Using FlashAttention version 3\n")
    with Server(before) as server:
        assert until(lambda: server.tail() != "")
        assert server.tail() == "fake vLLM starts"


def test_what_its_keeper_could_not_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = tmp_path / "keeper"
    keeper.write_text("#!/bin/sh\nread order\nprintf '4711 4712'\n")
    keeper.chmod(0o755)
    server = Server(command(tmp_path))
    monkeypatch.setattr(sys, "executable", str(keeper))
    with pytest.raises(MeasurementError, match=r"processes 4711, 4712 are still there .*; look at dmesg"), server:
        pass


@pytest.mark.parametrize("then", ["", "sys.exit(1)"])
def test_what_it_leaves_behind_goes_with_it_in_order_or_not(tmp_path: Path, then: str) -> None:
    """An engine's process in a session of its own, whose server ended before it."""
    orphan = tmp_path / "orphan"
    before = f"{ORPHAN.format(path=str(orphan))}\n{then}"
    with Server(command(tmp_path, before=before)) as server:
        if then:
            with pytest.raises(MeasurementError, match="ended with status 1"):
                server.wait_ready(START_S)
        else:
            server.wait_ready(START_S)
            assert not is_gone(int(orphan.read_text()))
    assert is_gone(int(orphan.read_text()))


def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    own, port = tmp_path / "pid", free_port()
    python = fake_python(tmp_path, before=f"open({str(own)!r}, 'w').write(str(os.getpid()))")
    code = OWNER.format(python=python, port=port, log=str(tmp_path / "log"), start_s=START_S)
    owner = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        owner.kill()
        assert until(lambda: is_gone(int(own.read_text())))
    finally:
        owner.kill()
        owner.communicate()
