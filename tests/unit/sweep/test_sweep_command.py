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

import pytest

from tests.unit.needs import two_cores
from tests.unit.serving.fakes import fake_python
from tests.unit.sweep.examples import FILE, written
from tokgate.sweep.store import Store

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
COMMAND = "import sys, scripted_sweep; from tokgate.cli import main; sys.exit(main())"
WAIT_S = 60.0


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


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path)


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
    sweep.text = FILE.replace("[[grid]]", '[settings]\nenvironment = { A = "1" }\n[[grid]]').replace(
        "threads = [1, 2]", "threads = [1, 2]\na_setting_with_a_long_name = ['a value that is long too', 'another']"
    )
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


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_sweep_goes_on_where_it_was(sweep: Sweep, how: signal.Signals) -> None:
    """What had ended is kept byte for byte, and the rest is measured; the outcome is that of a run in one go."""
    process = sweep.blocked(at=3)
    process.send_signal(how)
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == (-signal.SIGKILL if how is signal.SIGKILL else 130)
    assert how is signal.SIGKILL or "the same command goes on" in err
    before = sweep.files()
    assert len(before) == 3
    done = sweep()
    assert done.status == 0, done.out + done.err
    assert "3 launches are in" in done.err
    after = sweep.files()
    assert len(after) == 6
    assert {name: after[name] for name in before} == before
    again = sweep()
    assert again.out == done.out, "what is whole is shown, and nothing is measured"
    assert sweep.files() == after


def test_a_changed_file_is_not_mixed_and_fresh_begins_anew(sweep: Sweep) -> None:
    assert sweep().status == 0
    sweep.text = FILE.replace("rounds = 1", "rounds = 2")
    done = sweep()
    assert done.status == 2
    assert "was begun with something else: file.rounds 1 -> 2" in done.err
    assert sweep("--dry-run").status == 2
    fresh = sweep("--fresh")
    assert fresh.status == 0, fresh.err
    assert "what was measured before is in" in fresh.err
    assert len(list(sweep.store.folder.parent.glob("tiny-sweep.before-*/launches/*.json"))) == 6


def test_more_launches_and_other_constraints_go_on_with_what_is_there(sweep: Sweep) -> None:
    assert sweep().status == 0
    before = sweep.files()
    sweep.text = FILE.replace("launches = 3", "launches = 4").replace(
        "[[grid]]", "[[constraint]]\nmetric = 'ttft'\nmax = 1\nunit = 'ms'\n[[grid]]"
    )
    done = sweep()
    assert done.status == 1, "every setting breaks the constraint"
    assert "None of 4 settings keeps the constraints." in done.flat
    assert "ttft <= 1 ms: broken by 4 of 4" in done.flat
    assert len(sweep.files()) == 8
    assert {name: content for name, content in sweep.files().items() if name in before} == before


def test_a_setting_that_fails_is_survived_shown_and_can_be_tried_again(sweep: Sweep) -> None:
    failing = {"fails": {"tiny-dummy.onnx.fp32.set1": "the onnx worker failed: out of memory\nhere"}}
    done = sweep(**failing)
    assert done.status == 0, done.out + done.err
    for number in (1, 2):
        assert f"FAILED #{number} threads=1" in done.out
    assert done.flat.count("3 of 3 launches failed: the onnx worker failed: out of memory") == 2
    assert "the onnx worker failed: out of memory" in done.flat
    assert "is the best of 2 settings" in done.flat
    good = {name: content for name, content in sweep.files().items() if b'"failed": null' in content}
    done = sweep("--retry")
    assert done.status == 0, done.out + done.err
    assert "5 launches are made again" in done.err, "the shared one, and two of each row alone"
    assert "FAILED" not in done.out
    assert {name: sweep.files()[name] for name in good} == good


def test_an_engine_that_dies_once_is_ranked_and_the_launch_is_told(sweep: Sweep) -> None:
    sweep.text = FILE.replace("batch = [1, 4]", "batch = [4]")
    done = sweep("-o", "sweep.html", dies_at={"0": "the onnx worker failed: it crashed"})
    assert done.status == 0, done.out + done.err
    assert "is the best" in done.flat
    assert "FAILED" not in done.out
    assert "1 of 4 launches failed: the onnx worker failed: it crashed" in done.flat
    assert "1 of 4 launches failed: the onnx worker failed" in (sweep.folder / "sweep.html").read_text()
    assert len(sweep.files()) == 7


PRECISIONS = FILE.replace("threads = [1, 2]", 'precision = ["fp32", "int8"]')


def test_a_model_that_cannot_be_built_fails_its_settings_and_no_others(sweep: Sweep) -> None:
    sweep.text = PRECISIONS
    done = sweep(unbuilt={"int8": "quantising failed:\nthe disk is full"})
    assert done.status == 0, done.out + done.err
    for number in (3, 4):
        assert f"FAILED #{number} int8" in done.out
    assert done.flat.count("quantising failed: the disk is full") == 2
    assert done.err.count("a model could not be built, its settings are FAILED: quantising failed") == 1
    assert "is the best of 2 settings" in done.flat
    assert "SKIPPED" not in done.out
    again = sweep()
    assert again.status == 0, again.out + again.err
    assert "of 4 settings" in again.flat


def test_where_no_model_can_be_built_nothing_was_believed(sweep: Sweep) -> None:
    done = sweep(unbuilt={"fp32": "exporting failed"})
    assert done.status == 4
    assert done.out.count("FAILED #") == 4
    assert sweep.files() == {}


def test_a_disturbed_setting_is_invalid_and_not_ranked(sweep: Sweep) -> None:
    done = sweep(disturbed=["tiny-dummy.onnx.fp32.set2.b4.p5.o50"])
    assert done.status == 0, done.out + done.err
    assert "INVALID #4 threads=2 batch=4: 0 of 3 launches are usable; others took 70%" in done.flat
    assert "of 3 settings" in done.flat


def test_wrong_outputs_are_invalid_and_nothing_ranked_is_4(sweep: Sweep) -> None:
    done = sweep(wrong=5.0)
    assert done.status == 4
    assert "logits differ by up to 5" in done.flat
    assert "Nothing can be ranked" in done.flat


def test_what_does_not_fit_is_skipped_with_the_sum(sweep: Sweep) -> None:
    done = sweep(no_room=True)
    assert done.status == 4
    assert "SKIPPED #1 threads=1 batch=1: measuring needs 29.0 GB" in done.flat


def test_a_dry_run_lists_and_measures_nothing(sweep: Sweep) -> None:
    done = sweep("--dry-run")
    assert done.status == 0, done.err
    assert "#3 threads=2 batch=1: tiny-dummy.onnx.fp32.set2.b1.p5.o50" in done.out
    assert "4 settings, 6 launches of 1 rounds to make: roughly" in done.out
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
        (["--model=no-such-model"], "no-such-model"),
    ],
)
def test_bad_options_are_2_and_named(sweep: Sweep, args: list[str], said: str) -> None:
    done = sweep(*args)
    assert done.status == 2
    assert said in done.err


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
# Asked for versions it is an interpreter; a flag that it does not know ends it as argparse would.
SHELL = """#!/bin/sh
[ "$1" = "-c" ] && exec {python} "$@"
for word in "$@"; do
    [ "$word" = "--no-such-flag" ] && echo "vllm: error: unrecognized arguments: --no-such-flag" >&2 && exit 2
done
exec {fake} "$@"
"""


@two_cores
def test_a_server_that_does_not_start_is_survived(sweep: Sweep) -> None:
    """Real launches: servers that are stubs, and one that dies of its flag. On busy cores the others are INVALID."""
    sweep.text = SERVER
    python = sweep.folder / "python"
    fake = fake_python(sweep.folder, "--ttft-ms=5", "--itl-ms=2")
    python.write_text(SHELL.format(python=sys.executable, fake=fake))
    python.chmod(0o755)
    done = sweep(f"--python={python}", real_launches=True)
    assert done.status in (0, 4), done.out + done.err
    assert "unrecognized arguments: --no-such-flag" in done.flat
    assert "FAILED #2 no_such_flag=true" in done.out
    made = [each for each in sweep.store.launches() if each.record is not None]
    assert len(made) >= 2
    for each in made:
        assert each.record is not None
        assert each.record.events[-1]["output_tokens"] == 16
    if done.status == 0:
        assert "command: vllm serve MODEL --dtype=bfloat16 --max-num-seqs=2" in done.out


def test_a_dry_run_needs_no_gpu(sweep: Sweep) -> None:
    """What a sweep for another machine would measure can be seen here."""
    sweep.text = SERVER.replace('"cpu"', '"gpu"')
    done = sweep("--dry-run", gpu={"absent": "no GPU here"})
    assert done.status == 0, done.err
    assert "2 settings, 4 launches of 1 rounds to make" in done.out
    assert "not on this machine: no GPU here" in done.out
    assert sweep(gpu={"absent": "no GPU here"}).status == 4
