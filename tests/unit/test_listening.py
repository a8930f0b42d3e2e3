"""Ports of the commands that serve: which are taken, and how the others are refused."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from typing import Any

import pytest

from tests.unit.generate.scripted import Codec, Engine
from tokgate.cli import main
from tokgate.generate import server
from tokgate.generate.service import Loaded
from tokgate.generate.settings import Limits, ServiceSettings
from tokgate.generate.textmodel import TextModel
from tokgate.listening import listening, url_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("command", ["generate-service", "stub-server"])
@pytest.mark.parametrize("port", ["99999", "65536", "-1", "http", "٣"])
def test_what_is_no_port_is_refused_when_it_is_read(
    command: str, port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kernel takes a port modulo 65536: 99999 would be 34463, and nobody would be told."""
    with pytest.raises(SystemExit) as ended:
        main([command, f"--port={port}"])
    assert ended.value.code == 2
    assert f"argument --port: '{port}': expected a port, 1 to 65535, or 0 for a free one" in capsys.readouterr().err


def test_a_port_in_use_is_found_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tokgate.models.artifacts.ensure", lambda *args: pytest.fail("built"))
    monkeypatch.setattr(os, "execvpe", lambda *args: pytest.fail("started"))
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert main(["generate-service", "--model=tiny", f"--port={port}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"tokgate: cannot listen on 127.0.0.1:{port}: ")
    assert "choose another --host or --port" in said


def test_a_port_taken_meanwhile_is_bad_input_too(capsys: pytest.CaptureFixture[str]) -> None:
    """uvicorn's own status is 3, which says that there is nothing to compare with."""
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert server.serve(ServiceSettings("scripted", "", "", Limits(1, 1, 1), port=port)) == 2
    assert f"cannot listen on 127.0.0.1:{port}: " in capsys.readouterr().err


def test_the_url_is_printed_once_the_model_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(settings: ServiceSettings) -> Loaded:
        assert capsys.readouterr().out == "", "told before it is so"
        return Loaded(TextModel(Engine(), Codec()))

    class EndsOnceReady(server.GenerateServer):
        def __init__(self, *args: Any) -> None:
            *args, on_ready = args

            def told() -> None:
                on_ready()
                self.handle_exit(signal.SIGTERM, None)

            super().__init__(*args, told)

    monkeypatch.setattr(server, "load", load)
    monkeypatch.setattr(server, "_vocab_size", lambda folder: 100)
    monkeypatch.setattr(server, "GenerateServer", EndsOnceReady)
    assert server.serve(ServiceSettings("scripted", "", "", Limits(1, 1, 1), model="m", port=0)) == 0
    said = capsys.readouterr()
    (url,) = said.out.splitlines()
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", url)
    assert f"m answers POST {url}/generate" in said.err


def test_a_url_has_the_port_that_was_found() -> None:
    with listening("127.0.0.1", 0) as listener:
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", url_of(listener))
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as listener:
        listener.bind(("::1", 0))
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_accepted_connections_send_at_once_under_any_loop() -> None:
    """asyncio sets it on accepted connections of sockets that it made itself; small answers would wait 40 ms."""
    with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_first_line_of_a_service_is_its_url_whatever_the_engine_logs() -> None:
    code = (
        "import os, sys; from tokgate.generate.server import own_stdout; told = own_stdout(); print('loading');"
        "os.write(1, b'engine'); print('http://h', file=told, flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "http://h\n"
    assert "loading" in done.stderr
    assert "engine" in done.stderr
