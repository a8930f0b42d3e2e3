"""How starts are told: cold ones apart from warm ones."""

from __future__ import annotations

from typing import Any

import pytest

from tokgate.report.starts import starts_text

pytestmark = pytest.mark.unit

COLD: dict[str, Any] = {"load_s": 102.0, "compiled": {"vllm": 2, "flashinfer": 3}}
WARM: dict[str, Any] = {"load_s": 21.2, "compiled": {}}


@pytest.mark.parametrize(
    ("launches", "text"),
    [
        ([], ""),
        ([{"rounds": []}], ""),
        ([WARM], "start 21 s"),
        ([{"load_s": 2.345}], "start 2.3 s"),
        ([{"load_s": 21.2, "compiled": 7}], "start 21 s"),
        ([COLD], "start 102 s, new in the caches (vllm 2, flashinfer 3)"),
        ([COLD, WARM, {"load_s": 23.0}], "start 102 s, new in the caches (vllm 2, flashinfer 3); later 22 s"),
        ([COLD, {"load_s": 98.0, "compiled": {"vllm": 1}}], "start 100 s, new in the caches (vllm 3, flashinfer 3)"),
    ],
)
def test_cold_and_warm_starts_are_told_apart(launches: list[dict[str, Any]], text: str) -> None:
    assert starts_text(launches) == text
