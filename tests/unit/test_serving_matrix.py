"""Matrices of servers as they are written, which refuse what they do not understand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokgate.errors import InputError
from tokgate.matrix_file import load_matrix
from tokgate.plan import Traffic

pytestmark = pytest.mark.unit

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
