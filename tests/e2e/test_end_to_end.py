"""The whole flow for real, on a model that is quick: export, measure, accept, judge. `make e2e` runs it.

Cores are shared where this runs, so the live timings must be valid, not green; what is judged is derived from
them with seeded noise.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tokgate import session as sessions
from tokgate.scenario import load_matrix
from tokgate.session import Session

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
# A neighbour may take the cores for a while; validity says so, and a later try must be clean.
TRIES = 3


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session measured by `pytest -m cpu` itself: tiny model, every row of the matrix that fits."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "none").mkdir()
    for attempt in range(TRIES):
        out = folder / str(attempt)
        command = [
            sys.executable, "-m", "pytest", "-m", "cpu", "-p", "no:cacheprovider",
            "--perf-profile=smoke", "--perf-model=tiny",
            f"--perf-cache={folder / 'cache'}", f"--perf-sessions={out / 'sessions'}",
            f"--perf-baselines={folder / 'none'}", f"--junitxml={out / 'junit.xml'}",
            f"--benchmark-json={out / 'benchmark.json'}",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL)
        print(done.stdout, done.stderr)
        (path,) = (out / "sessions").glob("*.json")
        session = sessions.read(path)
        if session.valid:
            assert done.returncode == 0, "a valid session without baselines passes with a note"
            assert sessions.read(out / "benchmark.json").rows == session.rows
            assert 'name="output_throughput_tok_s"' in (out / "junit.xml").read_text()
            return session
        assert all("usable" in reason for reason in session.reasons), session.reasons
    pytest.fail(f"no valid session in {TRIES} tries; the last: {session.reasons}")


def test_every_row_has_valid_samples(measured: Session) -> None:
    """Each scenario that fits this machine has its planned launches and rounds, in every metric."""
    matrix = load_matrix(ROOT / "scenarios" / "cpu.toml").with_models(
        lambda shape: "tiny-dummy" if shape.startswith("qwen") else f"{shape}-dummy"
    )
    profile = matrix.profile("smoke")
    expected = {row.id for row in matrix.rows("smoke") if row.group.shape.startswith("qwen")}
    found = {row.scenario for row in measured.rows}
    assert expected <= found
    for row in measured.rows:
        assert [len(launch) for launch in row.launches] == [profile.rounds] * profile.launches, row.key


def test_every_group_is_as_accurate_as_it_must_be(measured: Session) -> None:
    """Each group's logits were compared with the FP32 reference, and FP32 through ONNX is the same model."""
    by_group = {accuracy.group: accuracy for accuracy in measured.accuracy}
    assert set(by_group) == {row.group for row in measured.rows}
    assert by_group["tiny-dummy.onnx.fp32"].max_logit_diff < 1e-3


def test_a_same_night_passes_and_a_slower_one_fails(measured: Session, tmp_path: Path) -> None:
    """Five accepted sessions with 0.5% noise: a sixth like them exits 0, the same 20% worse exits 1."""
    noise = random.Random(20261121)
    nights = [_varied(measured, f"night-{number}", noise) for number in range(6)]
    accepted = [sessions.write(night, tmp_path / "sessions") for night in nights[:5]]
    store = tmp_path / "baselines"

    assert _tokgate("accept", *accepted, "--reason", "first five nights", "--baselines", store) == 0
    sixth = sessions.write(nights[5], tmp_path / "sessions")
    assert _tokgate("judge", sixth, "--baselines", store, "--require-baseline") == 0
    slower = sessions.write(_worse(nights[5], 0.20), tmp_path / "sessions")
    assert _tokgate("judge", slower, "--baselines", store) == 1


def test_an_environment_measured_against_itself_is_paired_in_every_row(tmp_path: Path) -> None:
    """`tokgate ab` with one interpreter on both sides: it measures, judges by pairs, and says that it was A/A."""
    arguments = [
        "ab", "--reference", sys.executable, "--model=tiny", "--profile=smoke", "--pairs=6",
        "-k", "onnx.int8.b1.p5.o50", "--cache", tmp_path / "cache",
    ]  # fmt: skip
    for attempt in range(TRIES):
        done = _run(*arguments, "--sessions", tmp_path / str(attempt))
        (path,) = (tmp_path / str(attempt)).glob("*.json")
        session = sessions.read(path)
        if session.valid:
            assert done.returncode in (0, 1), "no regression is shown, or by bad luck one is"
            assert "an A/A run" in done.stdout
            assert all(len(row.pairs or []) >= 5 for row in session.rows)
            assert _tokgate("judge", path) == done.returncode, "a stored session tells the same"
            return
        assert all("usable" in reason for reason in session.reasons), session.reasons
    pytest.fail(f"no valid session in {TRIES} tries; the last: {session.reasons}")


def _varied(session: Session, name: str, noise: random.Random) -> Session:
    rows = [
        msgspec.structs.replace(
            row,
            launches=[[value * (1 + noise.gauss(0, 0.005)) for value in launch] for launch in row.launches],
        )
        for row in session.rows
    ]
    return msgspec.structs.replace(session, id=name, rows=rows)


def _worse(session: Session, share: float) -> Session:
    def changed(row: sessions.Row) -> sessions.Row:
        factor = 1 - share if row.better == "higher" else 1 + share
        return msgspec.structs.replace(row, launches=[[value * factor for value in launch] for launch in row.launches])

    return msgspec.structs.replace(session, id=f"{session.id}-worse", rows=[changed(row) for row in session.rows])


def _tokgate(*args: object) -> int:
    return _run(*args).returncode


def _run(*args: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tokgate", *map(str, args)],
        cwd=ROOT, text=True, capture_output=True, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    print(done.stdout, done.stderr)
    return done
