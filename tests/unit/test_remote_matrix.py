"""The rows that a server elsewhere is measured by."""

from __future__ import annotations

import pytest

from tokgate.errors import InputError
from tokgate.matrices import SCENARIOS_DIR, remote_matrix
from tokgate.matrix_file import load_matrix
from tokgate.serving.remote import Remote

pytestmark = pytest.mark.unit


def test_they_are_those_at_default_settings_under_its_models_name() -> None:
    matrix = load_matrix(SCENARIOS_DIR / "serving-gpu.toml")
    rows = remote_matrix(matrix, Remote("http://h:8000", "Qwen/Qwen2.5-0.5B")).scenarios
    assert {row.id for row in rows} >= {
        "qwen2.5-0.5b.serve.fp16.c50.p512.o512", "qwen2.5-0.5b.serve.fp16.open50.c200.p512.o512",
    }  # fmt: skip
    assert {row.group.id for row in rows} == {"qwen2.5-0.5b.serve.fp16"}


def test_a_name_that_is_no_slug_is_made_one() -> None:
    matrix = load_matrix(SCENARIOS_DIR / "serving-gpu.toml")
    rows = remote_matrix(matrix, Remote("http://h:8000", "My Org/My Model:latest")).scenarios
    assert rows[0].group.model == "my-model-latest"


def test_a_matrix_without_a_server_has_none() -> None:
    with pytest.raises(InputError, match=r"this matrix has none: take -m serving$"):
        remote_matrix(load_matrix(SCENARIOS_DIR / "cpu.toml"), Remote("http://h:8000", "m"))
