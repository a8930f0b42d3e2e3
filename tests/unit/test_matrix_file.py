"""Matrices as they are written, which refuse what they do not understand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tokgate.errors import InputError
from tokgate.matrix_file import load_matrix

pytestmark = pytest.mark.unit

MATRIX = """
device = "cpu"
model = "qwen2.5-0.5b-instruct"
[profiles.quick]
launches = 3
rounds = 2
only = "quick"
[profiles.nightly]
launches = 6
rounds = 3
[[group]]
engine = "onnx"
precisions = ["fp32", "int8"]
rows = ["1x5->50", "8x5->50"]
quick = ["1x5->50"]
selections = ["ens"]
[[group]]
engine = "onnx"
precisions = ["int8"]
variants = ["nospin"]
gated = ["cpu_time_per_token"]
rows = ["1x128->64"]
"""
VARIANTS = """
[nospin]
engine = "onnx"
settings = { allow_spinning = false }
[tp2]
engine = "vllm"
settings = { tensor_parallel_size = 2, enforce_eager = false }
[drawn]
engine = ["vllm", "onnx"]
settings = { sampling = { temperature = 1.0, seed = 7 } }
[cool]
engine = "vllm"
settings = { max_num_seqs = 8, sampling = { temperature = 0.5 } }
[halves]
engine = "vllm"
prompts = "mixed"
[wrong]
engine = "vllm"
settings = { sampling = 5 }
"""
GPU_MATRIX = """
device = "gpu"
gpus = 2
model = "qwen2.5-7b"
[profiles.quick]
launches = 1
rounds = 1
[engines.vllm]
enforce_eager = true
seed = 7
[[group]]
engine = "vllm"
precisions = ["fp16"]
variants = ["tp2"]
weights = "skeleton"
rows = ["1x5->50"]
"""


@pytest.fixture
def matrix_file(tmp_path: Path) -> Path:
    (tmp_path / "variants.toml").write_text(VARIANTS)
    path = tmp_path / "cpu.toml"
    path.write_text(MATRIX)
    return path


def test_rows_stand_in_the_order_of_the_file_once_for_each_precision(matrix_file: Path) -> None:
    matrix = load_matrix(matrix_file)
    assert [row.id for row in matrix.scenarios] == [
        "qwen2.5-0.5b-instruct.onnx.fp32.b1.p5.o50",
        "qwen2.5-0.5b-instruct.onnx.fp32.b8.p5.o50",
        "qwen2.5-0.5b-instruct.onnx.int8.b1.p5.o50",
        "qwen2.5-0.5b-instruct.onnx.int8.b8.p5.o50",
        "qwen2.5-0.5b-instruct.onnx.int8.nospin.b1.p128.o64",
    ]
    assert [row.quick for row in matrix.scenarios] == [True, False, True, False, False]
    assert [row.selections for row in matrix.scenarios] == 4 * [("ens",)] + [()]
    assert [(profile.name, profile.launches, profile.rounds) for profile in matrix.profiles] == [
        ("quick", 3, 2),
        ("nightly", 6, 3),
    ]


def test_variants_bring_their_settings_and_gates(matrix_file: Path) -> None:
    row = load_matrix(matrix_file).scenarios[-1]
    assert row.group.settings == {"allow_spinning": False}
    assert row.gated == ("cpu_time_per_token",)


@pytest.fixture
def gpu_file(matrix_file: Path) -> Path:
    path = matrix_file.with_name("gpu.toml")
    path.write_text(GPU_MATRIX)
    return path


def test_settings_of_an_engine_are_all_its_groups_and_a_variants_go_before(gpu_file: Path) -> None:
    (row,) = load_matrix(gpu_file).scenarios
    assert row.group.settings == {"tensor_parallel_size": 2, "enforce_eager": False, "seed": 7}
    assert (row.group.device, row.group.gpus, row.group.skeleton) == ("gpu", 2, True)
    assert load_matrix(gpu_file).gpus == 2
    assert row.group in {row.group: "groups are keys, whatever tables their settings hold"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('["tp2"]', "[]", "it runs on 1 and the matrix has gpus = 2"),
        ("gpus = 2", "gpus = 0", "gpus = 0 for device 'gpu'"),
        ('"gpu"', '"cpu"', "gpus = 2 for device 'cpu'"),
        ('"gpu"', '"tpu"', "Invalid enum value 'tpu'"),
        ("[engines.vllm]", "[engines.vlm]", "did you mean 'vllm'"),
        ('"skeleton"', '"bones"', "Invalid enum value 'bones'"),
        ('variants = ["tp2"]\nweights', "weights", "it runs on 1"),
        ('engine = "vllm"\nprecisions = ["fp16"]\nvariants = ["tp2"]', 'engine = "onnx"\nprecisions = ["fp16"]',
         "unknown engine 'vllm'"),
    ],
)  # fmt: skip
def test_a_slip_in_a_gpu_matrix_is_named(gpu_file: Path, old: str, new: str, said: str) -> None:
    assert old in GPU_MATRIX
    gpu_file.write_text(GPU_MATRIX.replace(old, new, 1))
    with pytest.raises(InputError, match=r"gpu\.toml") as error:
        load_matrix(gpu_file)
    assert said in str(error.value)


def test_only_vllm_fills_a_skeleton(matrix_file: Path) -> None:
    matrix_file.write_text(MATRIX.replace('quick = ["1x5->50"]', 'quick = []\nweights = "skeleton"', 1))
    with pytest.raises(InputError, match="'skeleton' is for engine vllm; onnx cannot"):
        load_matrix(matrix_file)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('engine = "onnx"', 'engin = "onnx"', "did you mean `engine`"),
        ("quick = [", "quik = [", "did you mean `quick`"),
        ('"8x5->50"]', '"8x5-50"]', "'8x5->50'"),
        ('"8x5->50"]', '"0x5->50"]', "start at 1"),
        ('"8x5->50"]', '"1x5->50"]', "twice"),
        ('quick = ["1x5->50"]', 'quick = ["2x5->50"]', "not one of its rows"),
        ('["fp32", "int8"]', '["fp32", "int88"]', "did you mean 'int8'"),
        ('["nospin"]', '["nospinn"]', "did you mean 'nospin'"),
        ('["cpu_time_per_token"]', '["cpu_time_per_tokn"]', "did you mean 'cpu_time_per_token'"),
        ('["cpu_time_per_token"]\nrows = ["1x128->64"]', '["tpot"]\nrows = ["1x128->1"]', "no tpot to gate"),
        ("launches = 6", "launches = 0", "at least one launch"),
        ("launches = 6", 'launches = "6"', "Expected `int`"),
        ("device =", "device", "not TOML"),
    ],
)
def test_a_slip_in_a_matrix_is_named(matrix_file: Path, old: str, new: str, said: str) -> None:
    assert old in MATRIX
    matrix_file.write_text(MATRIX.replace(old, new, 1))
    with pytest.raises(InputError, match=r"cpu\.toml") as error:
        load_matrix(matrix_file)
    assert said in str(error.value)


def test_only_servers_have_a_number_of_prompts(matrix_file: Path) -> None:
    matrix_file.write_text(MATRIX.replace('selections = ["ens"]', "num_prompts = 200", 1))
    with pytest.raises(InputError, match="num_prompts is for engine serve"):
        load_matrix(matrix_file)


def test_a_setting_that_no_engine_takes_is_refused_with_its_place(matrix_file: Path) -> None:
    matrix_file.write_text(GPU_MATRIX.replace("seed = 7", "gpu_memory_utilization = 1.5"))
    with pytest.raises(
        InputError, match=r"group 1: gpu_memory_utilization = 1.5; expected a number above 0 and up to 1"
    ):
        load_matrix(matrix_file)


@pytest.mark.parametrize(
    ("variants", "group", "row", "sampling"),
    [
        (["tp2"], "qwen2.5-7b.vllm.fp16.tp2", "tp2.b1", {}),
        (["tp2", "drawn"], "qwen2.5-7b.vllm.fp16.tp2", "tp2.drawn.b1", {"temperature": 1.0, "seed": 7}),
        (["tp2", "drawn", "cool"], "qwen2.5-7b.vllm.fp16.tp2.cool", "tp2.cool.drawn.b1", {"temperature": 0.5}),
        (["tp2", "cool", "drawn"], "qwen2.5-7b.vllm.fp16.tp2.cool", "tp2.cool.drawn.b1",
         {"temperature": 1.0, "seed": 7}),
    ],
)  # fmt: skip
def test_sampling_goes_with_the_requests_and_the_last_variant_that_has_it_says(
    gpu_file: Path, variants: list[str], group: str, row: str, sampling: dict[str, float]
) -> None:
    gpu_file.write_text(GPU_MATRIX.replace('["tp2"]', json.dumps(variants)))
    (found,) = load_matrix(gpu_file).scenarios
    assert (found.group.id, found.id) == (group, f"qwen2.5-7b.vllm.fp16.{row}.p5.o50")
    assert found.asked.sampling == sampling
    assert "sampling" not in found.group.settings


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wrong", r"sampling = 5 of vllm; expected a table, and engine vllm"),
        ("halves", "mixed prompts are a server's; those of an offline batch have one length"),
    ],
)
def test_what_no_request_of_an_offline_engine_can_be_is_refused(gpu_file: Path, name: str, said: str) -> None:
    gpu_file.write_text(GPU_MATRIX.replace('["tp2"]', f'["tp2", "{name}"]'))
    with pytest.raises(InputError, match=said):
        load_matrix(gpu_file)


def test_sampling_is_refused_of_an_engine_that_has_none(matrix_file: Path) -> None:
    matrix_file.write_text(MATRIX.replace('variants = ["nospin"]', 'variants = ["drawn"]'))
    with pytest.raises(InputError, match=r"of onnx; expected a table, and engine vllm"):
        load_matrix(matrix_file)
