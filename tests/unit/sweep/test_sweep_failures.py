"""`tokgate sweep` where settings fail: each is told with its reason, and takes nothing from the others."""

from __future__ import annotations

import sys

import pytest

from tests.unit.needs import two_cores
from tests.unit.serving.fakes import fake_python
from tests.unit.sweep.examples import FILE
from tests.unit.sweep.sweeping import SERVER, Sweep

pytestmark = pytest.mark.unit


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
