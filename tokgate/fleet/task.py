"""What runs on a node, in a Ray task: pytest in the node's own checkout, and what it left. Standard library alone.

The code of this module, and of what it imports of tokgate, is carried to the node by value (fleet/cluster.py), so that
nothing there need be importable by Ray; which tokgate measures is decided by the checkout alone.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokgate.killing import kill_group, undying

# Under a checkout: what runs of a fleet leave on the node, sessions and logs, for whoever looks there later.
FOLDER = ".tokgate/fleet"
_POLL_S = 0.5
# pytest ends its workers and writes the session of what had ended.
_STOP_S = 20.0
_TAIL_BYTES = 4000
# Ray sets it to the task's number of cores where it is not set; measured engines are told their threads themselves.
_RAYS_OWN = "OMP_NUM_THREADS"
# pytest ends with the Ray worker that started it (prctl's PR_SET_PDEATHSIG is 1), also when that is killed: else it
# would hold the node's device lock against the retry.
_PYTEST = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGTERM)\n"
    "parent, *arguments = sys.argv[1:]\n"
    "if os.getppid() != int(parent): sys.exit('the Ray worker that started this died')\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'pytest', *arguments])\n"
)


@dataclass(frozen=True)
class Order:
    """What a node is to run. `python`: its interpreter, relative to `checkout` if at all; None: the one Ray runs in."""

    checkout: str
    python: str | None
    arguments: tuple[str, ...]
    timeout_s: float


@dataclass(frozen=True)
class Answer:
    """What a node's run came to. `status`: pytest's, -N for signal N; None, with `reason`, where it did not end itself.

    `sessions`: the session files it wrote. `log`: the file on the node that holds what it printed; `tail`: that
    file's end. `commit`, `clean`: of the checkout, None where git does not say. `niceness`: at which it ran.
    """

    status: int | None
    reason: str
    sessions: tuple[bytes, ...] = ()
    log: str = ""
    tail: str = ""
    commit: str | None = None
    clean: bool | None = None
    niceness: int = 0
    wall_s: float = 0.0


def carried(order: dict[str, Any]) -> dict[str, Any]:
    """`run` on plain data: an instance of a class carried by value would come back as one of another class."""
    return asdict(run(Order(**order)))


def run(order: Order) -> Answer:
    """Runs pytest as ordered, and stops it when this is interrupted (Ray's way to cancel) or after the timeout."""
    checkout = Path(order.checkout).expanduser()
    if not (checkout / "tokgate").is_dir():
        return Answer(None, f"no checkout of tokgate at {checkout}; clone it there, or say where it is: --checkout DIR")
    python = order.python or sys.executable
    argv = [str(checkout / python) if "/" in python else python, "-c", _PYTEST, str(os.getpid()), *order.arguments]
    (checkout / FOLDER).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%dT%H%M%S-"), dir=checkout / FOLDER))
    log, sessions = folder / "pytest.log", folder / "sessions"
    started_s = time.monotonic()
    try:
        status, reason = _pytest([*argv, f"--perf-sessions={sessions}"], checkout, log, order.timeout_s)
    except OSError as error:
        return Answer(None, f"{python} cannot be run: {error.strerror}; name an interpreter of the node: --python PATH")
    return Answer(
        status=status,
        reason=reason,
        sessions=tuple(path.read_bytes() for path in sorted(sessions.glob("*.json"))),
        log=str(log),
        tail=_tail(log),
        commit=_git(checkout, "rev-parse", "HEAD"),
        clean={"": True, None: None}.get(_git(checkout, "status", "--porcelain"), False),
        niceness=os.getpriority(os.PRIO_PROCESS, 0),
        wall_s=time.monotonic() - started_s,
    )


def _pytest(argv: list[str], checkout: Path, log: Path, timeout_s: float) -> tuple[int | None, str]:
    """pytest's status; after the timeout None, and what to say of that. Whatever happens, it is stopped."""
    env = {name: value for name, value in os.environ.items() if name != _RAYS_OWN and not name.startswith("RAY_")}
    deadline_s = time.monotonic() + timeout_s
    with log.open("wb") as printed:
        process = subprocess.Popen(
            argv, cwd=checkout, env=env, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        while (status := process.poll()) is None and time.monotonic() <= deadline_s:
            # Short enough for Ray's interrupt, which a longer wait in C would not hear.
            time.sleep(_POLL_S)
    finally:
        has_ended = _stop(process)
    if status is not None:
        return status, ""
    ended = "was stopped" if has_ended else undying(process.pid)
    return None, f"it had not ended after {timeout_s:g} s (--timeout); it {ended}"


def _stop(process: subprocess.Popen[bytes]) -> bool:
    """Ends it with its group, in order if it lets itself be told. False where it does not die."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
    return kill_group(process)


def _tail(log: Path) -> str:
    with log.open("rb") as printed:
        size = printed.seek(0, os.SEEK_END)
        printed.seek(max(0, size - _TAIL_BYTES))
        return printed.read().decode("utf-8", "replace").strip()


def _git(folder: Path, *args: str) -> str | None:
    try:
        done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
