"""`tokgate sweep`, run as a user runs it; its launches are scripted (scripted_sweep.py), or real ones of stubs."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.unit.sweep.examples import FILE, written
from tokgate.sweep.store import Store

ROOT = Path(__file__).parents[3]
COMMAND = "import sys, scripted_sweep; from tokgate.cli import main; sys.exit(main())"
WAIT_S = 60.0
SERVER = """
device = "cpu"
model = "tiny"
engine = "serve"
precision = "bf16"
row = "c2x5->4"
weights = "skeleton"
num_prompts = 4
launches = 2
rounds = 1
[[grid]]
max_num_seqs = [2]
[[grid]]
no_such_flag = [true]
"""


@dataclass
class Done:
    """What a run exited with and printed."""

    status: int
    out: str
    err: str

    @property
    def flat(self) -> str:
        return " ".join(self.out.split())


class Sweep:
    """Runs `tokgate sweep` on a file of its own in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.text = FILE
        self.device = f"test-{uuid.uuid4().hex[:12]}"

    @property
    def store(self) -> Store:
        return Store(self.folder / "sweeps" / "tiny-sweep")

    def __call__(self, *args: str, **script: Any) -> Done:
        out, err = (process := self.start(*args, **script)).communicate(timeout=300)
        return Done(process.returncode, out, err)

    def start(self, *args: str, **script: Any) -> subprocess.Popen[str]:
        plugins = [Path(__file__).parents[1] / "plugin", Path(__file__).parent]
        path = os.pathsep.join([*map(str, plugins), str(ROOT), os.environ.get("PYTHONPATH", "")])
        plan = json.dumps({"device": self.device, "blocked": str(self.folder / "blocked"), **script})
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, "sweep", str(written(self.folder, self.text)), "--model=auto",
             f"--folder={self.folder / 'sweeps'}", f"--cache={self.folder / 'cache'}", *args],
            cwd=self.folder, env={**os.environ, "TOKGATE_SCRIPT": plan, "PYTHONPATH": path, "COLUMNS": "80"},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            # What a script starts in its background ignores Ctrl-C, and hands that down.
            preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def blocked(self, *args: str, at: int) -> subprocess.Popen[str]:
        """A sweep that is in its launch `at`, counted from 0."""
        process = self.start(*args, block_at=at)
        deadline = time.monotonic() + WAIT_S
        while not (self.folder / "blocked").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.store.folder / "launches").glob("*.json")}
