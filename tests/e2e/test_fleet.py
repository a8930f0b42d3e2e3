"""`tokgate fleet` for real: Ray's processes for three nodes on this machine, real pytest runs of the tiny model.

The nodes share this machine's cores, so their runs wait for one another at its device lock.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from flow import ROOT

from tokgate import session as sessions

pytestmark = pytest.mark.e2e

ray_cluster = pytest.importorskip(
    "ray.cluster_utils", reason="ray is not installed: pip install -r requirements-fleet.txt"
)
SCENARIO = "tiny-dummy.onnx.int8.b1.p5.o50"
SMALL = {"object_store_memory": 80 * 2**20}
# A dead node is known after 3 s, not after Ray's 15 and more.
_SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 3}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that measures nothing itself, and two nodes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        head = {**SMALL, "num_cpus": 0, "include_dashboard": False, "_system_config": _SOON}
        found = ray_cluster.Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=True)
        try:
            for number in (1, 2):
                found.add_node(num_cpus=1, node_name=f"edge-{number}", **SMALL)
            yield found
        finally:
            found.shutdown()


def start(cluster: Any, cache: Path, out: Path) -> subprocess.Popen[str]:
    (nothing := out / "none").mkdir()
    command = [
        sys.executable, "-m", "tokgate", "fleet", "--ray", cluster.address, "--out", out, "--json",
        "--baselines", nothing, "-m", "cpu", "-p", "no:cacheprovider", "-k", f"[{SCENARIO}]",
        "--perf-profile=smoke", "--perf-model=tiny", f"--perf-cache={cache}",
    ]  # fmt: skip
    return subprocess.Popen(list(map(str, command)), cwd=ROOT, text=True, stdout=subprocess.PIPE)


def pytests(node: Any) -> list[psutil.Process]:
    """The runs of pytest under a node's raylet."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    return [child for child in raylet.children(recursive=True) if is_pytest(child)]


def is_pytest(process: psutil.Process) -> bool:
    try:
        return "pytest" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def wait_for(condition: Callable[[], Any], running: subprocess.Popen[str], timeout_s: float = 60) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert running.poll() is None, "it ended before that was seen"
        assert time.monotonic() < deadline_s, "not seen in time"
        time.sleep(0.1)


def test_ctrl_c_stops_the_runs_on_all_nodes(cluster: Any, cache: Path, tmp_path: Path) -> None:
    """The command exits as interrupted, and no pytest runs on anywhere."""
    fleet = start(cluster, cache, tmp_path)
    wait_for(lambda: all(map(pytests, cluster.worker_nodes)), fleet)
    runs = [run for node in cluster.worker_nodes for run in pytests(node)]
    fleet.send_signal(signal.SIGINT)
    fleet.communicate(timeout=60)
    assert fleet.returncode == 128 + signal.SIGINT
    assert psutil.wait_procs(runs, timeout=30)[1] == []


def test_the_others_are_reported_when_a_node_dies_in_the_middle(cluster: Any, cache: Path, tmp_path: Path) -> None:
    """Of three nodes one is killed: it is INVALID and says why, the others have a session each, the whole exits 4."""
    doomed = cluster.add_node(num_cpus=1, node_name="edge-3", **SMALL)
    fleet = start(cluster, cache, tmp_path)
    wait_for(lambda: all(map(pytests, cluster.worker_nodes)), fleet)
    orphans = pytests(doomed)
    cluster.remove_node(doomed, allow_graceful=False)
    assert psutil.wait_procs(orphans, timeout=30)[1] == [], "a run ends with its node, not holding the device lock"
    out, _ = fleet.communicate(timeout=400)
    print(out)
    told = {line["node"]: line for line in map(json.loads, out.splitlines())}
    assert fleet.returncode == 4
    assert list(told) == ["edge-1", "edge-2", "edge-3"]
    assert told["edge-3"]["outcome"] == "invalid"
    assert "the node died" in told["edge-3"]["reasons"][0]
    found = {session.provenance["node"]: session for session in map(sessions.read, tmp_path.glob("*.json"))}
    assert set(found) == {"edge-1", "edge-2"}
    for node, session in found.items():
        # A neighbour of this machine may disturb a run; it is invalid for nothing else.
        assert all(SCENARIO in reason and "usable" in reason for reason in session.reasons), session.reasons
        assert {row.scenario for row in session.rows} == {SCENARIO} or not session.valid
        assert told[node]["session"] == session.id
        assert told[node]["outcome"] == ("no-baseline" if session.valid else "invalid")
        assert told[node]["peers"] is None or told[node]["peers"]["change_pct"] is None, "two nodes cannot say"
