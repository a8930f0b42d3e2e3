"""A row that is longer than the engine's context, with scripted launches: INVALID, and alone in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runs import Runner

from tokgate.models.catalog import load_model

pytestmark = pytest.mark.unit


def gpu(run: Runner) -> dict[str, object]:
    return {"gpu": {"uuid": run.device.replace("test", "GPU"), "absent": None}}


def test_rows_that_a_given_max_model_len_cuts_are_invalid_and_the_others_are_measured(run: Runner) -> None:
    done = run(
        "-m", "gpu", "tests/gpu/test_offline_qwen_7b.py", "--perf-profile=nightly", "--perf-model=dummy",
        "--perf-set=max_model_len=512", "-k", "fp16.b1.p1000 or fp16.b1.p5.", script=gpu(run),
    )  # fmt: skip
    assert done.status == 1, done.out
    said = "qwen2.5-7b-dummy.vllm.fp16.b1.p1000.o50: it cannot be measured: 1000 prompt and 50 output tokens make 1050"
    assert f"{said}; max_model_len is 512" in " ".join(done.out.split())
    assert "1 failed, 1 passed" in done.out
    assert "KeyError" not in done.out
    assert "INVALID qwen2.5-7b-dummy.vllm.fp16.b1.p1000.o50\n" in done.out, "the item fails with it"
    assert {row.scenario for row in done.session.rows} == {"qwen2.5-7b-dummy.vllm.fp16.b1.p5.o50"}
    assert not done.session.valid


@pytest.mark.parametrize(("positions", "ended"), [(54, "failed"), (55, "passed")])
def test_a_model_whose_context_is_too_short_for_every_row_launches_nothing(
    run: Runner, tmp_path: Path, positions: int, ended: str
) -> None:
    folder = tmp_path / "short-model"
    folder.mkdir()
    config = {**load_model("tiny").shape.config(), "max_position_embeddings": positions}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"")
    done = run("-k", "onnx.fp32.b1", model=str(folder))
    said = "short-model.onnx.fp32.b1.p5.o50: it cannot be measured: 5 prompt and 50 output tokens make 55"
    assert f"1 {ended}" in done.out, done.out
    assert (f"{said}; the context of short-model ends at 54" in " ".join(done.out.split())) is (ended == "failed")
    assert ("launch: " in done.out) is (ended == "passed")
    assert ("INVALID short-model.onnx.fp32.b1.p5.o50\n" in done.out) is (ended == "failed")


def test_a_group_that_cannot_run_here_is_skipped_whatever_is_too_long(run: Runner) -> None:
    done = run("--perf-set=max_model_len=54", "-k", "fp32", script={"no_room": True})
    assert done.status == 5, done.out
    assert "29.0 GB weights" in done.out
    assert "cannot be measured" not in done.out


def test_a_server_is_told_either_spelling(run: Runner) -> None:
    done = run(
        "-m", "serving", "tests/serving/test_serve.py", "--perf-model=dummy", "--perf-profile=nightly",
        "--perf-set=max-model-len=600", "-k", "serve.fp16.c10.p512", script=gpu(run),
    )  # fmt: skip
    assert done.status == 1
    assert "make 1024; max_model_len is 600" in " ".join(done.out.split())


def test_a_row_that_was_left_out_refuses_nothing(run: Runner) -> None:
    done = run(
        "-m", "serving", "tests/serving/test_serve.py", "--perf-model=tiny", "--perf-profile=nightly",
        "-k", "serve.fp16.c10.p512", script=gpu(run),
    )  # fmt: skip
    assert "1 passed" in done.out, done.out
