"""Runs of pytest with scripted launches, for the tests of what the plugin does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tokgate import session as sessions
from tokgate.session import Session

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FP32 = "tiny-dummy.onnx.fp32.b1.p5.o50"


@dataclass
class Run:
    """One pytest run: exit status, what it printed, and where its files are."""

    status: int
    out: str
    folder: Path

    @property
    def session(self) -> Session:
        (path,) = (self.folder / "sessions").glob("*.json")
        return sessions.read(path)


class Runner:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self.baselines.mkdir()
        self.device = f"test-{uuid.uuid4().hex[:12]}"

    @property
    def baselines(self) -> Path:
        return self._folder / "baselines"

    def __call__(self, *args: str, script: dict[str, Any] | None = None, model: str = "tiny") -> Run:
        self._count += 1
        folder = self._folder / str(self._count)
        command = [
            sys.executable, "-m", "pytest", "-p", "scripted", "-p", "no:cacheprovider", "-m", "cpu",
            f"--perf-model={model}", f"--perf-sessions={folder / 'sessions'}",
            f"--perf-baselines={self.baselines}", f"--perf-cache={folder / 'cache'}", *args,
        ]  # fmt: skip
        path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        plan = json.dumps({"device": self.device, **(script or {})})
        env = {**os.environ, "TOKGATE_SCRIPT": plan, "PYTHONPATH": path, "COLUMNS": "80"}
        env.pop("PYTEST_XDIST_WORKER", None)
        done = subprocess.run(
            command, cwd=ROOT, env=env, text=True, stdin=subprocess.DEVNULL, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return Run(done.returncode, done.stdout, folder)

    def accept(self, session: Session, nights: int = 5) -> None:
        """Makes `session` the baseline, as so many nights that differ a little."""
        paths = []
        for night in range(nights):
            rows = [
                msgspec.structs.replace(
                    row, launches=[[v * (1 + 0.003 * (night - 2)) for v in launch] for launch in row.launches]
                )
                for row in session.rows
            ]
            varied = msgspec.structs.replace(session, id=f"night-{night}", rows=rows)
            paths.append(sessions.write(varied, self._folder / "accepted"))
        subprocess.run(
            [sys.executable, "-m", "tokgate", "accept", *map(str, paths), "--reason", "test",
             "--baselines", str(self.baselines)],
            cwd=ROOT, check=True, capture_output=True,
        )  # fmt: skip

    def python(self, name: str, **versions: str) -> str:
        """An interpreter as this one, that says of some packages that it has other versions of them."""
        path = self._folder / name
        path.write_text(
            f"#!{sys.executable}\n"
            "import sys, importlib.metadata as metadata\n"
            f"known, real = {versions!r}, metadata.version\n"
            "metadata.version = lambda package: known.get(package) or real(package)\n"
            "_, flag, code, *sys.argv[1:] = sys.argv\n"
            "exec(code)\n"
        )
        path.chmod(0o755)
        return str(path)
