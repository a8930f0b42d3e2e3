"""A sweep for real: ONNX Runtime on the tiny model, one setting that crashes, killed and gone on with.

Cores are shared where this runs: settings that others disturb are INVALID, and what is asserted holds for them too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from flow import ROOT, run

from tokgate.matrices import open_matrix
from tokgate.sweep.store import Made, Store

pytestmark = pytest.mark.e2e

FILE = """
device = "cpu"
model = "tiny"
engine = "onnx"
row = "4x16->32"
launches = 2
rounds = 2
[[constraint]]
metric = "tpot"
max = 1
unit = "s"
[[grid]]
precision = ["fp32", "int8"]
threads = ["default", 1]
[[grid]]
precision = ["fp32"]
environment = [{ OMP_NUM_THREADS = 1 }]
"""
# Of the file, without the one that crashes.
SETTINGS = 4
WAIT_S = 600.0
# Its folder, what the second command said, the launches that the first one left, and the page.
Swept = tuple[Store, subprocess.CompletedProcess[str], list[Made], Path]


def killed(arguments: list[object], store: Store, after: int) -> None:
    """The sweep until so many launches have ended, and then no more."""
    command = [sys.executable, "-m", "tokgate", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + WAIT_S
        while len(store.launches()) < after:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Swept:
    """The folder of a sweep that was killed after two launches, and what the command said that went on with it."""
    folder = tmp_path_factory.mktemp("sweep")
    (file := folder / "tiny.toml").write_text(FILE)
    arguments: list[object] = ["sweep", file, "--folder", folder, "--cache", cache]
    store = Store(folder / "tiny")
    killed(arguments, store, after=2)
    before = store.launches()
    page = folder / "sweep.html"
    return store, run(*arguments, "-o", page), before, page


def all_disturbed(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether nothing was ranked for want of undisturbed launches, of each setting but the one that crashed."""
    return done.returncode == 4 and " ".join(done.stdout.split()).count("launches are usable") == SETTINGS


def test_it_goes_on_where_it_was_killed(swept: Swept) -> None:
    """What had ended stands as it was; the rest is measured, every setting in as many launches as planned or more."""
    store, done, before, _ = swept
    assert done.returncode == 0 or all_disturbed(done), done.stdout + done.stderr
    after = store.launches()
    assert after[: len(before)] == before
    for precision, own in (("fp32", "set1"), ("int8", "set1"), ("fp32", ""), ("int8", "")):
        name = ".".join(filter(None, ["tiny-dummy.onnx", precision, own, "b4.p16.o32"]))
        assert len([made for made in after if made.scenarios == (name,)]) >= 2, name


def test_the_setting_that_crashed_is_shown_with_its_reason_and_takes_nothing_from_the_others(swept: Swept) -> None:
    store, done, _, _ = swept
    said = " ".join(done.stdout.split())
    crashed = "FAILED #5 fp32 environment=OMP_NUM_THREADS=1, 2 of 2 launches failed: the onnx worker failed: TypeError"
    assert crashed in said
    assert "str expected, not int" in said
    assert len([made for made in store.launches() if made.failed]) == 2, "it is tried once more"


def test_the_winner_is_a_scenario_and_the_page_is_there(swept: Swept) -> None:
    store, done, _, page = swept
    assert "<title>tokgate sweep tiny</title>" in page.read_text()
    if all_disturbed(done):
        pytest.skip("every launch of every setting was disturbed by others on the cores: there is no winner to look at")
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = open_matrix(str(store.winner_dir / "tiny.toml"), "auto", {}).rows("sweep")
    assert f"scenario: {row.id}" in done.stdout


def test_threads_are_those_that_the_setting_asked_for(swept: Swept) -> None:
    store, *_ = swept
    told = {made.scenarios[0]: made.record.engine["threads"] for made in store.launches() if made.record is not None}
    assert told["tiny-dummy.onnx.int8.set1.b4.p16.o32"] == "1"
    assert told["tiny-dummy.onnx.int8.b4.p16.o32"] == str(len(os.sched_getaffinity(0)))
