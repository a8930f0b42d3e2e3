"""What an engine is told beside the group's own settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tokgate.engine_settings import KNOWN, engine_settings, loads_skeleton
from tokgate.engines import load
from tokgate.matrix_file import load_matrix
from tokgate.models.source import resolve
from tokgate.scenario import Group

pytestmark = pytest.mark.unit

SCENARIOS = Path(__file__).parents[2] / "scenarios"
DUMMY = resolve("dummy", "qwen2.5-7b")
REAL = replace(DUMMY, kind="local")
FP16 = Group("qwen2.5-7b", "qwen2.5-7b-dummy", "vllm", "fp16", device="gpu", skeleton=True)


def test_vllm_is_told_its_dtype_and_no_longer_a_context_than_rows_may_have() -> None:
    assert engine_settings(FP16, REAL) == {"dtype": "float16", "max_model_len": 4096}
    assert engine_settings(replace(FP16, precision="bf16"), REAL)["dtype"] == "bfloat16"
    assert engine_settings(replace(FP16, precision="bnb4"), REAL)["quantization"] == "bitsandbytes"


@pytest.mark.parametrize("engine", ["vllm", "serve"])
def test_integer_weights_are_multiplied_in_fp16_on_a_gpu_and_in_bf16_on_a_cpu(engine: str) -> None:
    """A T4 has no BF16; of a CPU with AMX vLLM's kernels take nothing else."""
    int8 = replace(FP16, engine=engine, precision="int8", skeleton=False)
    assert engine_settings(int8, REAL)["dtype"] == "float16"
    assert engine_settings(replace(int8, device="cpu"), REAL)["dtype"] == "bfloat16"


def test_a_skeleton_is_filled_by_vllm_and_real_weights_are_loaded() -> None:
    assert engine_settings(FP16, DUMMY)["load_format"] == "dummy"
    assert loads_skeleton(FP16, DUMMY)
    assert not loads_skeleton(FP16, REAL)
    assert not loads_skeleton(replace(FP16, skeleton=False), DUMMY)


def test_transformers_is_told_its_device_where_that_is_not_the_cpu() -> None:
    plain = replace(FP16, engine="transformers", skeleton=False)
    assert engine_settings(plain, DUMMY) == {"dtype": "fp16", "device": "cuda"}
    assert engine_settings(replace(plain, device="cpu", precision="fp32"), DUMMY) == {"dtype": "fp32"}


def test_a_groups_own_settings_go_before() -> None:
    own = replace(FP16, settings={"max_model_len": 100, "enforce_eager": True})
    assert engine_settings(own, REAL) == {"dtype": "float16", "max_model_len": 100, "enforce_eager": True}


@pytest.mark.parametrize("file", sorted(path.name for path in SCENARIOS.glob("*.toml") if path.stem != "variants"))
def test_every_group_of_every_matrix_has_settings(file: str) -> None:
    for row in load_matrix(SCENARIOS / file).scenarios:
        engine_settings(row.group, DUMMY)


@pytest.mark.parametrize(("engine", "library"), [("onnx", "onnxruntime"), ("transformers", "transformers")])
def test_the_settings_known_beforehand_are_those_that_the_engine_takes(engine: str, library: str) -> None:
    pytest.importorskip(library)
    with pytest.raises(ValueError, match="unknown settings") as refused:
        load(engine, "nowhere", 1, {"bogus": 1})
    taken = str(refused.value).partition("known: ")[2].split(", ")
    assert KNOWN[engine] == {*taken, "environment"}


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "2"])
def test_threads_are_a_whole_number_from_1_up(value: object) -> None:
    """Or ONNX Runtime would take a number of its own, under the name of this one."""
    pytest.importorskip("onnxruntime")
    with pytest.raises(ValueError, match=r"threads = .*; expected a whole number from 1 up"):
        load("onnx", "nowhere", 1, {"threads": value})


def test_a_text_is_no_switch() -> None:
    """The text "false" would count as true."""
    pytest.importorskip("onnxruntime")
    with pytest.raises(ValueError, match=r"allow_spinning = 'false'; expected true or false"):
        load("onnx", "nowhere", 1, {"allow_spinning": "false"})
