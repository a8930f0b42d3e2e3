"""What the matrices in scenarios/ hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokgate.matrix_file import load_matrix

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]


def test_the_cpu_matrix_holds_what_was_asked_for() -> None:
    matrix = load_matrix(ROOT / "scenarios" / "cpu.toml")
    rows = {(row.group.engine, row.group.precision, row.group.variants, row.shape_id) for row in matrix.scenarios}
    shapes = [
        "b1.p5.o50", "b8.p5.o50", "b1.p200.o50", "b4.p200.o50", "b1.p128.o64", "b4.p128.o64", "b8.p128.o64",
        "b1.p512.o16", "b1.p128.o16", "b1.p128.o256", "b1.p32.o512",
    ]  # fmt: skip
    for precision in ("fp32", "int8"):
        assert {("onnx", precision, (), shape) for shape in shapes} <= rows
        nospin = [row for row in matrix.scenarios if row.group.variants and row.group.precision == precision]
        assert all("cpu_time_per_token" in row.gated for row in nospin)
        assert nospin
    assert {("transformers", "fp32", (), "b1.p200.o50"), ("transformers", "fp32", (), "b8.p5.o50")} <= rows
    assert any(row.group.shape == "mistral-7b" and row.group.precision == "int8" for row in matrix.scenarios)
    assert all(row.group.shape != "mistral-7b" for row in matrix.rows("nightly", "ens"))


GPU_ROWS = [
    "b1.p5.o50", "b8.p5.o50", "b1.p200.o50", "b4.p200.o50", "b1.p1000.o50", "b4.p1000.o50", "b8.p1000.o50",
    "b50.p512.o512", "b100.p128.o128", "b200.p512.o512", "b1.p128.o16", "b1.p128.o64", "b1.p128.o256", "b1.p32.o512",
]  # fmt: skip


@pytest.mark.parametrize("file", ["gpu-qwen2.5-0.5b.toml", "gpu-qwen2.5-7b.toml", "gpu-mistral-7b.toml"])
def test_the_gpu_matrices_hold_what_was_asked_for(file: str) -> None:
    matrix = load_matrix(ROOT / "scenarios" / file)
    rows = {(row.group.engine, row.group.precision, row.group.variants, row.shape_id) for row in matrix.scenarios}
    assert {("vllm", precision, (), shape) for precision in ("fp16", "int8") for shape in GPU_ROWS} <= rows
    assert {"bf16", "int4"} <= {row.group.precision for row in matrix.scenarios}


def test_the_quick_profile_is_the_small_model_in_fp16_and_int8() -> None:
    quick = [row.id for file in (ROOT / "scenarios").glob("gpu-*.toml") for row in load_matrix(file).rows("quick")]
    assert sorted(quick) == sorted(
        f"qwen2.5-0.5b-instruct.vllm.{precision}.{shape}"
        for precision in ("fp16", "int8")
        for shape in ("b1.p5.o50", "b8.p5.o50", "b50.p512.o512")
    )


@pytest.mark.parametrize("gpus", [2, 4])
def test_a_matrix_of_several_gpus_says_so_in_every_id(gpus: int) -> None:
    matrix = load_matrix(ROOT / "scenarios" / f"gpu-tp{gpus}.toml")
    assert matrix.gpus == gpus
    assert all(f".tp{gpus}." in row.id for row in matrix.scenarios)


def test_speculation_is_measured_where_it_wins_and_where_it_loses_beside_the_same_without() -> None:
    matrix = load_matrix(ROOT / "scenarios" / "gpu-qwen2.5-0.5b.toml")
    rows = {row.id.partition(".vllm.fp16.")[2]: row for row in matrix.scenarios}
    for workload, prompts in (("repeat", "repetitive"), ("sampled", "random")):
        plain, speculating = (rows[f"{name}.b1.p128.o256"] for name in (workload, f"ngram.{workload}"))
        assert plain.asked == speculating.asked
        assert (plain.asked.prompts, "temperature" in plain.asked.sampling) == (prompts, workload == "sampled")
        assert (plain.group.settings, speculating.group.settings.keys()) == ({}, {"speculative_config"})


def test_rows_that_ask_one_engine_otherwise_share_its_launches() -> None:
    """What a prompt holds and how tokens are chosen goes with each request."""
    matrix = load_matrix(ROOT / "scenarios" / "gpu-qwen2.5-0.5b.toml")
    of = {row.id.partition(".vllm.fp16.")[2]: row.group for row in matrix.scenarios}
    plain, ngram = of["b1.p5.o50"], of["ngram.repeat.b1.p128.o256"]
    assert of["repeat.b1.p128.o256"] == of["sampled.b8.p128.o256"] == plain
    assert of["ngram.sampled.b1.p128.o256"] == ngram != plain
    assert (plain.id, ngram.id) == ("qwen2.5-0.5b-instruct.vllm.fp16", "qwen2.5-0.5b-instruct.vllm.fp16.ngram")


def test_the_serving_matrix_holds_what_was_asked_for() -> None:
    matrix = load_matrix(ROOT / "scenarios" / "serving-gpu.toml")
    rows = {row.id.split(".serve.")[1] for row in matrix.scenarios if row.group.serves}
    for variant in ("fp16", "fp16.tuned", "fp16.api4", "int8"):
        assert {f"{variant}.c{concurrency}.p512.o512" for concurrency in (10, 50, 200)} <= rows
    assert {
        "fp16.eager.c50.p512.o512", "fp16.eager.ngram.c50.p512.o512", "fp16.c100.p512.o512",
        "fp16.open50.c200.p512.o512", "fp16.open80.c200.p512.o512", "fp16.api4.mp.c200.p512.o512",
    } <= rows  # fmt: skip
    for one, other in (("chunked.mixed", "nochunked.mixed"), ("cached.shared", "nocache.shared")):
        assert {row.replace(one, "") for row in rows if one in row} >= {
            row.replace(other, "") for row in rows if f".{other}." in row
        }
    servers = {row.group.id: row.group for row in matrix.scenarios if row.group.serves}
    assert len(servers) == 13, "one start for each set of settings"
    assert any(row.shape_id == "b10.p512.o512" for row in matrix.scenarios), "ten at once, without a server"
