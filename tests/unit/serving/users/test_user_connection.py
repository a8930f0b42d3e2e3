"""When a user's clock begins: what connecting takes is told beside what the server takes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from serving.loads import raw_server, read_request
from serving.streams import RESPONSE

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[4]
CONNECT_S = 0.4

# gevent stays out of this process. Connecting takes its time, and nothing else does.
USER = """
import json, sys, time
from dataclasses import replace
import gevent.socket
from serving.loads import request, target
from tokgate.serving.users.connection import UserConnection
connect = gevent.socket.create_connection
def slowly(*where):
    time.sleep(float(sys.argv[2]))
    return connect(*where)
gevent.socket.create_connection = slowly
user = UserConnection(target(sys.argv[1]), "completions", timeout_s=30)
for _ in range(3):
    heard = user.ask(replace(request(), prompt_len=5))
    print(json.dumps([str(heard.fault), heard.connected_s, heard.ttft_s, heard.e2el_s]))
    time.sleep(0.1)
user.close()
"""


def test_connecting_is_no_part_of_an_answers_time() -> None:
    """Of the first request, and of the third, whose connection the server had closed."""

    def talk(peer: socket.socket) -> None:
        for _ in range(2):
            if read_request(peer):
                peer.sendall(RESPONSE.replace(b'"completion_tokens":4', b'"completion_tokens":8'))

    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "unit"), os.environ.get("PYTHONPATH", "")])
    with raw_server(talk) as url:
        said = subprocess.run(
            [sys.executable, "-c", USER, url, str(CONNECT_S)],
            env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    faults, connected_s, ttft_s, e2el_s = zip(*map(json.loads, said.splitlines()), strict=True)
    assert faults == ("None", "None", "None")
    assert [took_s >= CONNECT_S for took_s in connected_s] == [True, False, True]
    assert all(0 < first_s <= whole_s < CONNECT_S for first_s, whole_s in zip(ttft_s, e2el_s, strict=True))
