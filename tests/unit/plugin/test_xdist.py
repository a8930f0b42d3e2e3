"""pytest-xdist and measuring: several processes never measure at once, and none passes unmeasured."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

# Beside scripted.py: notes when each launch began and ended, on the clock that all processes share.
RECORDING = """
import json, os, time
import scripted
import tokgate.launcher as launcher
def run_launch(*args):
    began_ns = time.monotonic_ns()
    record = scripted.run_launch(*args)
    while time.monotonic_ns() < began_ns + 20_000_000:
        pass
    with open(os.environ["TOKGATE_LAUNCHES"], "a") as file:
        file.write(json.dumps([os.getpid(), began_ns, time.monotonic_ns()]) + "\\n")
    return record
launcher.run_launch = run_launch
"""

# As measuring tests of somebody's own would be: each takes the device for a while, and says when.
TAKES_TURNS = """
import json, os, time
import pytest
from tokgate.machine.lock import device_lock
@pytest.mark.parametrize("number", range(8))
def test_one(number, tmp_path_factory):
    with device_lock(os.environ["TOKGATE_DEVICE"], 60, lambda said: None):
        began_ns = time.monotonic_ns()
        while time.monotonic_ns() < began_ns + 20_000_000:
            pass
        with open(os.environ["TOKGATE_LAUNCHES"], "a") as file:
            file.write(json.dumps([os.getpid(), began_ns, time.monotonic_ns()]) + "\\n")
"""


class Pytest:
    """Starts pytest runs that measure one device, a scripted one, and reads what they noted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launches = folder / "launches.jsonl"
        self.sessions = folder / "sessions"
        self.device = f"test-{uuid.uuid4().hex[:12]}"
        (folder / "recording.py").write_text(RECORDING)

    def start(self, *args: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
        env = {
            **os.environ,
            "TOKGATE_SCRIPT": json.dumps({"device": self.device}),
            "TOKGATE_DEVICE": self.device,
            "TOKGATE_LAUNCHES": str(self.launches),
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(HERE), str(ROOT)]),
        }
        for name in [name for name in env if name.startswith("PYTEST_XDIST")]:
            del env[name]
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args],
            cwd=cwd, env=env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def measuring(self, *args: str) -> subprocess.Popen[str]:
        return self.start(
            "-p", "recording", "-m", "cpu", "--perf-model=tiny", f"--perf-sessions={self.sessions}",
            f"--perf-baselines={self.folder / 'baselines'}", f"--perf-cache={self.folder / 'cache'}", *args,
        )  # fmt: skip

    def turns(self) -> list[tuple[int, int, int]]:
        """(pid, began, ended) of everything that was noted, in order."""
        lines = self.launches.read_text().splitlines() if self.launches.exists() else []
        return sorted((tuple(json.loads(line)) for line in lines), key=lambda turn: turn[1])


@pytest.fixture
def runs(tmp_path: Path) -> Pytest:
    return Pytest(tmp_path)


def no_two_overlap(turns: list[tuple[int, int, int]]) -> bool:
    return all(one[2] <= other[1] for one, other in itertools.pairwise(turns))


def test_measuring_items_under_xdist_measure_nothing_fail_and_say_what_to_do(runs: Pytest) -> None:
    run = runs.measuring("-n4", "-rA")
    out = run.communicate(timeout=120)[0]
    assert run.returncode == 1, out
    assert " passed" not in out
    assert "PASSED" not in out
    assert "Run the measuring tests without them: pytest -m cpu -p no:xdist" in out
    assert runs.turns() == []
    assert not list(runs.sessions.glob("*.json")), "no session was written"


def test_runs_started_side_by_side_measure_one_after_another(runs: Pytest) -> None:
    """As several jobs of one host: each waits for its turn, and each measures in the end."""
    started = [runs.measuring("-k", "fp32.b1.p5.o50") for _ in range(4)]
    outs = [run.communicate(timeout=240)[0] for run in started]
    assert [run.returncode for run in started] == [0, 0, 0, 0], "\n".join(outs)
    turns = runs.turns()
    assert len({pid for pid, _, _ in turns}) == 4
    assert no_two_overlap(turns)
    blocks = [pid for pid, _ in itertools.groupby(turns, key=lambda turn: turn[0])]
    assert len(blocks) == 4, "a run keeps the device until it ends"


def test_the_device_lock_serialises_the_workers_of_xdist(runs: Pytest) -> None:
    (runs.folder / "test_turns.py").write_text(TAKES_TURNS)
    (runs.folder / "pytest.ini").write_text("[pytest]\n")
    run = runs.start("-n4", "test_turns.py", cwd=runs.folder)
    out = run.communicate(timeout=120)[0]
    assert run.returncode == 0, out
    turns = runs.turns()
    assert len(turns) == 8
    assert len({pid for pid, _, _ in turns}) > 1, "more than one process took part"
    assert no_two_overlap(turns)
