"""What a service is told."""

from __future__ import annotations

import pytest

from tokgate.generate.settings import Limits, ServiceSettings, batch_fault

pytestmark = pytest.mark.unit


def test_settings_come_through_json_whole() -> None:
    settings = ServiceSettings("onnx", "/m", "/t", Limits(10, 5, 5), settings={"allow_spinning": False}, batch=4)
    assert ServiceSettings.of(settings.to_json()) == settings


def test_requests_are_batched_only_where_none_can_tell() -> None:
    assert "one factor" in str(batch_fault("onnx", "int8", 2))
    assert batch_fault("onnx", "int8", 1) is None
    assert batch_fault("onnx", "fp32", 8) is None
    assert batch_fault("vllm", "int8", 8) is None
