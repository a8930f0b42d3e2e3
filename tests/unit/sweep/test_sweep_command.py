"""`tokgate sweep`: what it says and leaves behind, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.unit.sweep.examples import FILE
from tests.unit.sweep.sweeping import ROOT, SERVER, Sweep

pytestmark = pytest.mark.unit

SLOWS = {"slows": {json.dumps({"threads": 1}): 1.5}}


def test_the_fastest_is_the_best_and_stands_there_as_a_scenario(sweep: Sweep) -> None:
    done = sweep(**SLOWS)
    assert done.status == 0, done.out + done.err
    assert "#4 threads=2 batch=4 is the best of 4 settings" in done.flat
    assert "scenario: tiny-dummy.onnx.fp32.tiny-sweep-best.b4.p5.o50" in done.out
    assert (sweep.store.winner_dir / "tiny-sweep.toml").exists()
    assert "* on the front of throughput and TPOT" in done.out
    assert len(sweep.files()) == 6, "rows of one setting share their launches"


def test_lines_stay_within_80_columns(sweep: Sweep) -> None:
    sweep.text = (
        FILE.replace("[[grid]]", '[settings]\nenvironment = { A = "1" }\n[[grid]]')
        .replace(
            "threads = [1, 2]", "threads = [1, 2]\na_setting_with_a_long_name = ['a value that is long too', 'another']"
        )
        .replace('"onnx"', '"vllm"')
    )  # whose settings are what its version takes
    done = sweep()
    assert done.status == 0, done.out + done.err
    table = done.out.split("scenario: ")[0]
    assert max(map(len, table.splitlines())) <= 100


def test_settings_that_are_alike_are_said_to_be(sweep: Sweep) -> None:
    sweep.text = FILE.replace("batch = [1, 4]", "batch = [4]").replace(
        "threads = [1, 2]", "threads = [1, 2, 'default']"
    )
    done = sweep()
    assert done.status == 0, done.out + done.err
    assert "cannot be told apart from it" in done.flat
    assert "these 3 cannot be told apart: #" in done.flat


def test_a_dry_run_lists_and_measures_nothing(sweep: Sweep) -> None:
    done = sweep("--dry-run")
    assert done.status == 0, done.err
    assert "#3 threads=2 batch=1: tiny-dummy.onnx.fp32.set2.b1.p5.o50" in done.out
    assert "4 settings, 6 launches of 1 round to make: roughly" in done.out
    assert not sweep.store.folder.exists()


def test_a_page_is_written(sweep: Sweep) -> None:
    done = sweep("-o", "sweep.html")
    assert done.status == 0
    assert done.out.splitlines()[-1] == "sweep.html"
    assert "<title>tokgate sweep tiny-sweep</title>" in (sweep.folder / "sweep.html").read_text()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--python=/nowhere/python"], "the interpreter that measures, /nowhere/python: no such interpreter"),
        (["--model=no-such-model"], "--model 'no-such-model' is unknown"),
        (["-o", "."], "-o .: that is a folder; expected the name of a file"),
        (["-o", "tiny-sweep.toml/page.html"], "-o tiny-sweep.toml/page.html: it cannot be written: Not a directory"),
        (["--folder=tiny-sweep.toml"], "--folder tiny-sweep.toml/tiny-sweep: no file can be written there: Not a dir"),
    ],
)
def test_bad_options_are_2_and_named(sweep: Sweep, args: list[str], said: str) -> None:
    done = sweep(*args)
    assert done.status == 2
    assert said in done.err
    assert not sweep.store.folder.exists(), "nothing was measured"


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ('row = "1x5->50"', 'row = "1x5"', "setting 1: row '1x5'"),
        ('"fp32"', '"fp31"', "setting 1: unknown precision 'fp31'"),
        ('row = "1x5->50"', 'row = "1x5->5000"', "the context of tiny-dummy ends at 2048"),
        ('model = "tiny"', 'model = "tinny"', "tinny"),
    ],
)
def test_what_no_matrix_may_hold_is_2_and_the_file_is_named(sweep: Sweep, was: str, now: str, said: str) -> None:
    sweep.text = FILE.replace(was, now)
    done = sweep("--dry-run")
    assert done.status == 2
    assert said in done.err
    assert "matrix.toml" not in done.err
    assert len(done.err.splitlines()) == 1


def test_a_file_that_is_not_there_names_those_of_the_repository(sweep: Sweep) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "tokgate", "sweep", "no.toml"], text=True, capture_output=True, cwd=ROOT
    )
    assert process.returncode == 2
    assert "t4-serving.toml" in process.stderr


def test_a_dry_run_needs_no_gpu(sweep: Sweep) -> None:
    """What a sweep for another machine would measure can be seen here."""
    sweep.text = SERVER.replace('"cpu"', '"gpu"')
    done = sweep("--dry-run", gpu={"absent": "no GPU here"})
    assert done.status == 0, done.err
    assert "2 settings, 4 launches of 1 round to make" in done.out
    assert "not on this machine: no GPU here" in done.out
    assert sweep(gpu={"absent": "no GPU here"}).status == 4
