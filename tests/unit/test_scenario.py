"""Scenario ids, and what of a matrix a profile measures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.errors import InputError
from tokgate.scenario import Group, Matrix, Profile, Scenario
from tokgate.session import check_slug

pytestmark = pytest.mark.unit

FP32 = Group("qwen2.5-0.5b-instruct", "qwen2.5-0.5b-instruct", "onnx", "fp32")
INT8 = replace(FP32, precision="int8")
MATRIX = Matrix(
    "cpu",
    "qwen2.5-0.5b-instruct",
    (
        Scenario(FP32, 1, 5, 50, quick=True, selections=("ens",)),
        Scenario(FP32, 8, 5, 50, selections=("ens",)),
        Scenario(INT8, 1, 5, 50, quick=True),
    ),
    (Profile("quick", 3, 2, only_quick=True), Profile("nightly", 6, 3)),
)


def test_ids_read_as_the_design_gives_them() -> None:
    group = Group("qwen2.5-0.5b", "qwen2.5-0.5b-dummy", "onnx", "int8", ("nospin",))
    assert Scenario(group, 8, 5, 50).id == "qwen2.5-0.5b-dummy.onnx.int8.nospin.b8.p5.o50"


@given(st.integers(1, 999), st.integers(1, 9999), st.integers(1, 9999))
def test_every_id_can_name_a_baseline_file(batch: int, prompt_len: int, output_len: int) -> None:
    row = Scenario(Group("tiny", "tiny-dummy", "onnx", "fp32"), batch, prompt_len, output_len)
    assert check_slug("scenario", row.id) == row.id


def test_a_profile_holds_its_rows() -> None:
    assert [row.id for row in MATRIX.rows("quick")] == [
        "qwen2.5-0.5b-instruct.onnx.fp32.b1.p5.o50",
        "qwen2.5-0.5b-instruct.onnx.int8.b1.p5.o50",
    ]
    assert len(MATRIX.rows("nightly")) == 3
    assert [row.shape_id for row in MATRIX.rows("nightly", "ens")] == ["b1.p5.o50", "b8.p5.o50"]
    assert MATRIX.profile("nightly").launches == 6


def test_the_weights_in_use_stand_in_the_id() -> None:
    matrix = MATRIX.with_models(lambda shape: f"{shape}-dummy")
    assert matrix.rows("quick")[0].id == "qwen2.5-0.5b-instruct-dummy.onnx.fp32.b1.p5.o50"


def test_unknown_profiles_and_selections_are_named() -> None:
    with pytest.raises(InputError, match="did you mean 'nightly'"):
        MATRIX.rows("nigthly")
    with pytest.raises(InputError, match="known are ens"):
        MATRIX.rows("quick", "edge")
