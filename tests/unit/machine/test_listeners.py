"""Who listens on a port of this machine, and what they started."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tokgate.machine.listeners import listening_family

pytestmark = pytest.mark.unit

# Binds, hands the socket to a child as servers of several processes do, and starts one that does not have it.
SERVER = """
import socket, subprocess, sys
made = socket.create_server(("127.0.0.1", 0))
made.set_inheritable(True)
sleep = [sys.executable, "-c", "import sys; sys.stdin.read()"]
children = [subprocess.Popen(sleep, close_fds=close, stdin=subprocess.PIPE) for close in (False, True)]
print(made.getsockname()[1], *(child.pid for child in children), flush=True)
sys.stdin.read()
for child in children:
    child.communicate()
"""
# Of port 8000: one that listens at any address of IPv6, an empty line, and a connection; a kernel's, with less space.
TCP6 = """\
sl local_address remote_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode
0: 00000000000000000000000000000000:1F40 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 111 1

1: 00000000000000000000000001000000:1F40 00000000000000000000000001000000:D2F0 01 0:0 00:0 0 0 0 222 1
"""


def test_a_servers_processes_are_those_that_listen_and_those_that_these_started() -> None:
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SERVER], **pipe) as server:
        port, *children = map(int, server.stdout.readline().split())
        assert listening_family(port) == {server.pid, *children}
        server.stdin.close()
        server.wait(10)
    assert listening_family(port) == frozenset()


@pytest.mark.parametrize(("link", "family"), [("socket:[111]", {7}), ("socket:[222]", set()), ("/dev/null", set())])
def test_who_listens_at_an_address_of_ipv6_is_found_and_who_is_connected_is_not(
    tmp_path: Path, link: str, family: set[int]
) -> None:
    for folder in ("net", "7/fd"):
        (tmp_path / "proc" / folder).mkdir(parents=True)
    (tmp_path / "proc" / "net" / "tcp6").write_text(TCP6)
    (tmp_path / "proc" / "7" / "stat").write_text(f"7 (vllm) S 1 {' '.join('0' * 40)}")
    (tmp_path / "proc" / "7" / "fd" / "3").symlink_to(link)
    assert listening_family(8000, tmp_path) == family


def test_whoever_started_this_process_is_not_the_server() -> None:
    """All of a machine would be its family, as that of an init which listens for its services."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        asked = "import sys; from tokgate.machine.listeners import listening_family as of; print(of(int(sys.argv[1])))"
        command = [sys.executable, "-c", asked, str(made.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "frozenset()"
