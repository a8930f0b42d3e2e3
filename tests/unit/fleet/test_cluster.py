"""What the cluster's nodes are called, and what is said where there is no cluster. With Ray itself: tests/e2e."""

from __future__ import annotations

import socket
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tokgate.errors import InputError
from tokgate.fleet.cluster import Cluster, connect

pytestmark = pytest.mark.unit


def told(number: int, name: str = "", host: str = "vm", cpus: float = 8.0, alive: bool = True) -> dict[str, Any]:
    address = f"192.0.2.{number}"
    return {
        "NodeID": f"{number:06d}ffff", "Alive": alive, "NodeName": name or address, "NodeManagerAddress": address,
        "NodeManagerHostname": host, "Resources": {"CPU": cpus} if cpus else {},
    }  # fmt: skip


def nodes(*found: dict[str, Any]) -> tuple[list[str], list[str]]:
    asked, left_out = Cluster(SimpleNamespace(nodes=lambda: list(found))).nodes()
    return [node.name for node in asked], left_out


def test_a_node_goes_by_its_given_name_else_by_its_hosts() -> None:
    assert nodes(told(1, name="edge-1"), told(2, host="rack-2")) == (["edge-1", "rack-2"], [])


def test_nodes_of_one_name_are_told_apart() -> None:
    assert nodes(told(2), told(1)) == (["vm-000001", "vm-000002"], [])


def test_dead_nodes_and_those_without_cpus_are_not_asked() -> None:
    assert nodes(told(1, name="head", cpus=0), told(2, host="gone", alive=False)) == ([], ["head"])


def test_without_ray_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install -r requirements-fleet\.txt"), connect("auto"):
        pass


def test_an_address_where_nothing_listens_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match="no Ray cluster can be reached"), connect(address):
            pass
