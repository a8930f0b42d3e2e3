"""Scenario ids, and matrices that refuse what they do not understand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.errors import InputError
from tokgate.plan import Traffic
from tokgate.scenario import Group, Scenario, load_matrix
from tokgate.session import check_slug

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
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


def test_ids_read_as_the_design_gives_them() -> None:
    group = Group("qwen2.5-0.5b", "qwen2.5-0.5b-dummy", "onnx", "int8", ("nospin",))
    assert Scenario(group, 8, 5, 50).id == "qwen2.5-0.5b-dummy.onnx.int8.nospin.b8.p5.o50"


@given(st.integers(1, 999), st.integers(1, 9999), st.integers(1, 9999))
def test_every_id_can_name_a_baseline_file(batch: int, prompt_len: int, output_len: int) -> None:
    row = Scenario(Group("tiny", "tiny-dummy", "onnx", "fp32"), batch, prompt_len, output_len)
    assert check_slug("scenario", row.id) == row.id


def test_a_profile_holds_its_rows(matrix_file: Path) -> None:
    matrix = load_matrix(matrix_file)
    assert [row.shape_id for row in matrix.rows("quick")] == ["b1.p5.o50", "b1.p5.o50"]
    assert len(matrix.rows("nightly")) == 5
    assert len(matrix.rows("nightly", "ens")) == 4
    assert matrix.profile("nightly").launches == 6


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


def test_the_weights_in_use_stand_in_the_id(matrix_file: Path) -> None:
    matrix = load_matrix(matrix_file).with_models(lambda shape: f"{shape}-dummy")
    assert matrix.rows("quick")[0].id == "qwen2.5-0.5b-instruct-dummy.onnx.fp32.b1.p5.o50"


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


def test_unknown_profiles_and_selections_are_named(matrix_file: Path) -> None:
    matrix = load_matrix(matrix_file)
    with pytest.raises(InputError, match="did you mean 'nightly'"):
        matrix.rows("nigthly")
    with pytest.raises(InputError, match="known are ens"):
        matrix.rows("quick", "edge")


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


@pytest.mark.parametrize("file", ["gpu-qwen2.5-0.5b.toml", "gpu-qwen2.5-7b.toml"])
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
    groups = {row.group.variants: row.group for row in matrix.scenarios if row.group.precision == "fp16"}
    for workload in ("repeat", "sampled"):
        plain, speculating = groups[workload,], groups["ngram", workload]
        assert speculating.prompts == plain.prompts == ("repetitive" if workload == "repeat" else "random")
        assert {**plain.settings, "speculative_config": speculating.settings["speculative_config"]} == (
            speculating.settings
        )


SERVING_MATRIX = """
device = "gpu"
model = "tiny"
[profiles.quick]
launches = 1
rounds = 1
[[group]]
engine = "serve"
precisions = ["fp16"]
variants = ["eager"]
rows = ["c50x512->512", "c10x512->512"]
[[group]]
engine = "serve"
precisions = ["fp16"]
variants = ["eager", "open50"]
gated = ["ttft"]
num_prompts = 300
rows = ["c50x512->512"]
"""
SERVING_VARIANTS = """
[eager]
engine = ["vllm", "serve"]
settings = { enforce_eager = true }
[open50]
engine = "serve"
open_share = 0.5
[mixed]
engine = "serve"
prompts = "mixed"
"""


@pytest.fixture
def serving_file(tmp_path: Path) -> Path:
    (tmp_path / "variants.toml").write_text(SERVING_VARIANTS)
    path = tmp_path / "serving.toml"
    path.write_text(SERVING_MATRIX)
    return path


def test_a_servers_rows_have_a_concurrency_and_four_requests_for_each_that_is_open(serving_file: Path) -> None:
    first, second, third = load_matrix(serving_file).scenarios
    assert first.id == "tiny.serve.fp16.eager.c50.p512.o512"
    assert (first.plan_row.requests, second.plan_row.requests, third.plan_row.requests) == (200, 40, 300)
    assert first.gated == ("output_throughput", "ttft", "tpot")


def test_variants_of_the_client_leave_it_the_same_server(serving_file: Path) -> None:
    """One server start measures all of them."""
    first, _, third = load_matrix(serving_file).scenarios
    assert third.id == "tiny.serve.fp16.eager.open50.c50.p512.o512"
    assert third.group == first.group
    assert third.group.settings == {"enforce_eager": True}
    assert third.traffic == Traffic(300, "random", 0.5)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"c50x512->512", ', '"50x512->512", ', "expected 'c concurrency x prompt_len"),
        ('"c50x512->512", ', '"c0x512->512", ', "concurrency and lengths start at 1"),
        ("num_prompts = 300", "num_prompts = 40", "num_prompts is 40; expected 50 at least"),
        (
            '"open50"]\ngated = ["ttft"]\nnum_prompts = 300',
            '"mixed"]\nnum_prompts = 310',
            "310 mixed prompts, 50 at once",
        ),
        ('engine = "serve"', 'engine = "vllm"', "expected 'batch x prompt_len"),
        ('gated = ["ttft"]', 'gated = ["ttfd"]', "did you mean 'ttft'"),
    ],
)
def test_a_slip_in_a_serving_matrix_is_named(serving_file: Path, old: str, new: str, said: str) -> None:
    assert old in SERVING_MATRIX
    serving_file.write_text(SERVING_MATRIX.replace(old, new, 1))
    with pytest.raises(InputError, match=r"serving\.toml") as error:
        load_matrix(serving_file)
    assert said in str(error.value)


def test_only_servers_have_a_number_of_prompts(matrix_file: Path) -> None:
    matrix_file.write_text(MATRIX.replace('selections = ["ens"]', "num_prompts = 200", 1))
    with pytest.raises(InputError, match="num_prompts is for engine serve"):
        load_matrix(matrix_file)


def test_the_serving_matrix_holds_what_was_asked_for() -> None:
    matrix = load_matrix(ROOT / "scenarios" / "serving-gpu.toml")
    rows = {row.id.split(".serve.")[1] for row in matrix.scenarios if row.group.serves}
    for variant in ("fp16", "fp16.tuned", "fp16.api4", "int8"):
        assert {f"{variant}.c{concurrency}.p512.o512" for concurrency in (10, 50, 200)} <= rows
    assert {
        "fp16.eager.c50.p512.o512", "fp16.eager.ngram.c50.p512.o512", "fp16.c100.p512.o512",
        "fp16.open50.c200.p512.o512", "fp16.open80.c200.p512.o512",
    } <= rows  # fmt: skip
    for one, other in (("chunked.mixed", "nochunked.mixed"), ("cached.shared", "nocache.shared")):
        assert {row.replace(one, "") for row in rows if one in row} >= {
            row.replace(other, "") for row in rows if f".{other}." in row
        }
    servers = {row.group.id: row.group for row in matrix.scenarios if row.group.serves}
    assert len(servers) == 12, "one start for each set of settings"
    assert any(row.shape_id == "b10.p512.o512" for row in matrix.scenarios), "ten at once, without a server"
