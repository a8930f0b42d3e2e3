"""`tokgate ab`, run as a user runs it; only its launches are scripted (plugin/scripted.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tokgate import session as sessions
from tokgate.session import Session

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
FP32 = "tiny-dummy.onnx.fp32.b1.p5.o50"
COMMAND = "import sys, scripted; from tokgate.cli import main; sys.exit(main())"


@dataclass
class Done:
    """What a run exited with, printed, and left."""

    status: int
    out: str
    err: str
    folder: Path

    @property
    def session(self) -> Session:
        (path,) = self.folder.glob("*.json")
        return sessions.read(path)


class Ab:
    """Runs `tokgate ab --reference` with an interpreter like this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reference = folder / "reference"
        self.reference.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        self.reference.chmod(0o755)

    def __call__(self, *args: str, script: dict[str, Any] | None = None, reference: str | None = None) -> Done:
        plan = json.dumps({"device": f"test-{uuid.uuid4().hex[:12]}", **(script or {})})
        path = os.pathsep.join([str(Path(__file__).parent / "plugin"), str(ROOT), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, "ab", f"--reference={reference or self.reference}", "--model=tiny",
             f"--sessions={self.folder / 'ab'}", f"--cache={self.folder / 'cache'}", *args],
            cwd=self.folder, env={**os.environ, "TOKGATE_SCRIPT": plan, "PYTHONPATH": path, "COLUMNS": "80"},
            text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr, self.folder / "ab")

    def of_reference(self, **script: Any) -> dict[str, Any]:
        return {"of": {str(self.reference): script}}


@pytest.fixture
def ab(tmp_path: Path) -> Ab:
    return Ab(tmp_path)


def test_a_slower_candidate_is_1_with_why_and_the_command(ab: Ab) -> None:
    done = ab(script={"slow": 1.2, **ab.of_reference(slow=1.0)})
    assert done.status == 1, done.out + done.err
    assert f"REGRESSED {FP32} output_throughput" in done.out
    assert "in 12 interleaved pairs" in done.out
    assert f"again: tokgate ab --reference={ab.reference} --model=tiny" in done.out
    assert f"-k '[{FP32}]'" in done.out
    assert "] p " in done.out
    assert "p: in pairs" in done.out
    assert f"session: {Path('ab') / done.session.id}.json" in done.out
    assert "NO-BASELINE" not in done.out


def test_an_a_a_run_passes_and_says_what_it_was(ab: Ab) -> None:
    done = ab("--pairs=5")
    assert done.status == 0, done.out + done.err
    assert "no version differs; an A/A run" in done.out
    assert "PASS" in done.out.splitlines()[-3]
    assert done.session.valid
    assert all(len(row.pairs or []) == 5 for row in done.session.rows)


def test_a_faster_candidate_passes(ab: Ab) -> None:
    done = ab(script={"slow": 0.8, **ab.of_reference(slow=1.0)})
    assert done.status == 0, done.out + done.err
    assert f"IMPROVED {FP32}" in done.out


def test_json_is_the_object_of_judge(ab: Ab) -> None:
    done = ab("--json", "-k", f"[{FP32}]", "--pairs=5")
    assert done.status == 0, done.err
    (line,) = done.out.splitlines()
    verdict = json.loads(line)
    assert verdict["outcome"] == "pass"
    assert {row["scenario"] for row in verdict["rows"]} == {FP32}


@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_a_side_that_cannot_measure_is_4_and_named(ab: Ab, side: str) -> None:
    python = str(ab.reference) if side == "reference" else sys.executable
    done = ab(script={"of": {python: {"crash": True}}})
    assert done.status == 4
    assert f"{side} ({python}): the onnx worker failed".replace(" ", "") in "".join(done.out.split())
    assert not done.session.valid


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--candidate=/nowhere/python"], "the candidate, /nowhere/python: no such interpreter"),
        (["--pairs=4"], "at least 5"),
        (["--lock-timeout=-5"], "argument --lock-timeout: '-5': expected seconds, 0 or more"),
        (["--lock-timeout=nan"], "argument --lock-timeout: 'nan': expected seconds, 0 or more"),
        (["--lock-timeout=soon"], "argument --lock-timeout: 'soon': expected seconds, 0 or more"),
        (["-k", "no-such-row"], "'no-such-row': no row of cpu.toml"),
        (["--profile=nigthly"], "did you mean 'nightly'"),
        (["--matrix=gpus.toml"], "gpus.toml"),
        (["--model=no-such-model"], "--model 'no-such-model' is unknown"),
        (["--sessions=reference/ab"], "--sessions reference/ab: no file can be written there: Not a directory"),
    ],
)
def test_bad_input_is_2_and_named(ab: Ab, args: list[str], said: str) -> None:
    done = ab(*args)
    assert done.status == 2
    assert said in done.err
    assert not done.folder.exists(), "nothing was measured"


def test_a_reference_that_is_no_python_is_2_and_named(ab: Ab) -> None:
    done = ab(reference="/bin/false")
    assert done.status == 2
    assert "the reference, /bin/false is no usable Python" in done.err


def test_nothing_measured_is_4(ab: Ab) -> None:
    done = ab(script={"no_room": True})
    assert done.status == 4
    assert "29.0 GB" in done.out
    assert "nothing was measured" in done.out


def test_disturbed_pairs_are_4(ab: Ab) -> None:
    done = ab(script={"disturbed": [FP32]})
    assert done.status == 4
    assert "0 of 12 pairs are usable" in done.out
    assert "PASS" in done.out, "the other rows are judged"


def test_ctrl_c_is_130_and_keeps_what_had_ended_as_invalid(ab: Ab) -> None:
    done = ab(script={"interrupt_at": 7})
    assert done.status == 130
    assert "interrupted" in done.err
    assert not done.session.valid
    assert {len(row.pairs or []) for row in done.session.rows} == {3}


def test_a_strict_run_is_4_where_pairs_settle_nothing(ab: Ab) -> None:
    """Every second launch is slower by 20%: in turns, that makes pairs of either sign and settles nothing."""
    script = {"wobble": 0.2}
    assert ab("-k", FP32, script=script).status == 0
    assert ab("-k", FP32, "--strict", script=script).status == 4
