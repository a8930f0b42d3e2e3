from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.models import fit
from tokgate.models.catalog import load_model

pytestmark = pytest.mark.unit

GB = 10**9
SMALL = load_model("qwen2.5-0.5b").shape


@pytest.mark.parametrize(
    ("kind", "seen_gb"), [("checkpoint", 3.3), ("onnx-fp32", 9.0), ("onnx-int8", 9.4), ("genai-int8", 5.6)]
)
def test_build_sums_are_what_was_seen(kind: str, seen_gb: float) -> None:
    assert fit.build_bytes(SMALL, kind).total_bytes / GB == pytest.approx(seen_gb, rel=0.1)
    assert fit.build_bytes(SMALL, kind).total_bytes < 10 * GB


@pytest.mark.parametrize(
    ("engine", "precision", "seen_gb"),
    [
        ("onnx", "fp32", 2.5),
        ("onnx", "int8", 0.7),
        ("transformers", "fp32", 2.7),
        ("genai", "fp32", 2.6),
        ("genai", "int8", 1.17),
        ("genai", "int4", 0.6),
    ],
)
def test_measuring_sums_are_what_was_seen_or_somewhat_more(engine: str, precision: str, seen_gb: float) -> None:
    total_gb = fit.measure_bytes(SMALL, engine, precision, batch=1, tokens=250).total_bytes / GB
    assert seen_gb * 0.95 < total_gb < seen_gb * 1.3


@given(
    st.sampled_from(sorted(fit.KINDS)),
    st.integers(1, 32),
    st.integers(1, 2048),
    st.sampled_from([(1, 0), (0, 1)]),
)
def test_more_work_never_needs_less(kind: tuple[str, str], batch: int, tokens: int, more: tuple[int, int]) -> None:
    less = fit.measure_bytes(SMALL, *kind, batch, tokens).total_bytes
    assert fit.measure_bytes(SMALL, *kind, batch + more[0], tokens + more[1]).total_bytes > less


@pytest.mark.parametrize(
    ("engine", "precision", "told", "width"),
    [
        ("vllm", "bf16", None, 2),
        ("vllm", "bf16", "auto", 2),
        ("vllm", "int8", "bfloat16", 2),
        ("vllm", "fp32", "auto", 4),
        ("vllm", "bf16", "fp8", 1),
        ("vllm", "int8", "fp8_e4m3", 1),
        ("vllm", "int8", "fp8_e5m2", 1),
        ("onnx", "int8", "fp8", 4),
        ("genai", "int4", None, 4),
    ],
)
def test_the_sums_cache_is_as_wide_as_it_is_told(engine: str, precision: str, told: str | None, width: int) -> None:
    need = fit.measure_bytes(SMALL, engine, precision, 8, 1024, told)
    assert dict(need.parts)["KV cache"] == SMALL.kv_bytes(8, 1024, width)


def test_whether_a_row_fits_is_asked_with_the_cache_that_it_is_told() -> None:
    sums = [fit.measure_bytes(SMALL, "vllm", "bf16", 64, 4096, told).total_bytes for told in ("auto", "fp8")]
    row = {"batch": 64, "tokens": 4096, "builds": None, "available": sum(sums) // 2}
    assert fit.does_not_fit(SMALL, "vllm", "bf16", **row, kv_cache_dtype="fp8") is None
    for told in ("auto", None):
        refusal = fit.does_not_fit(SMALL, "vllm", "bf16", **row, kv_cache_dtype=told)
        assert refusal is not None
        assert " + 3.2 GB KV cache + " in refusal


@given(st.sampled_from(sorted(fit.KINDS)))
def test_a_sum_is_the_sum_of_its_parts_and_prints_them(kind: tuple[str, str]) -> None:
    need = fit.measure_bytes(SMALL, *kind, 1, 100)
    assert need.total_bytes == sum(size for _, size in need.parts)
    assert all((name in str(need)) == (size > 0) for name, size in need.parts)


def test_mistral_7b_in_int8_cannot_be_built_on_a_node_of_16_gb_but_could_be_measured() -> None:
    shape = load_model("mistral-7b").shape
    row = {"batch": 1, "tokens": 250, "available": 16 * GB}
    refusal = fit.does_not_fit(shape, "onnx", "int8", builds="onnx-int8", **row)
    assert refusal is not None
    assert "building onnx-int8 needs 129" in refusal
    assert "available: 16.0 GB" in refusal
    assert fit.does_not_fit(shape, "onnx", "int8", builds=None, **row) is None


def test_the_small_model_fits_a_node_of_16_gb() -> None:
    for (engine, precision), kind in fit.KINDS.items():
        row = {"batch": 8, "tokens": 256, "builds": kind, "available": 13 * GB}
        assert fit.does_not_fit(SMALL, engine, precision, **row) is None


def test_the_memory_there_is_is_asked_for_when_none_is_given() -> None:
    assert fit.does_not_fit(load_model("tiny").shape, "onnx", "fp32", batch=1, tokens=8, builds=None) is None


def test_on_a_gpu_the_host_holds_the_libraries_and_builds_the_models() -> None:
    shape = load_model("qwen2.5-7b").shape
    row = {"batch": 200, "tokens": 1024, "device": "gpu", "available": 12 * GB}
    assert fit.does_not_fit(shape, "vllm", "fp16", builds="skeleton-fp16", **row) is None
    refusal = fit.does_not_fit(shape, "vllm", "int8", builds="vllm-int8", **row)
    assert refusal is not None
    assert "building vllm-int8 needs 46" in refusal


def test_weights_that_a_gpu_does_not_keep_are_the_hosts() -> None:
    row = {"batch": 1, "tokens": 55, "device": "gpu", "builds": None}
    shape = load_model("mistral-7b").shape
    assert fit.does_not_fit(shape, "vllm", "fp16", **row, offloaded_bytes=9 * GB, available=12 * GB) is None
    refusal = fit.does_not_fit(shape, "vllm", "fp16", **row, offloaded_bytes=9 * GB, available=12 * GB - 1)
    assert refusal is not None
    assert "needs 12.0 GB: 3.0 GB host memory of the engine + 9.0 GB weights kept off the GPU; available: " in refusal


@pytest.mark.parametrize(
    ("kind", "seen_mb"),
    [
        ("checkpoint", 1046),
        ("vllm-int8", 674),
        ("vllm-int4", 487),
        ("skeleton-int8", 6),
        ("genai-fp32", 2024),
        ("genai-int8", 1130),
        ("genai-int4", 357),
    ],
)
def test_disk_sums_are_those_of_the_weights(kind: str, seen_mb: float) -> None:
    assert fit.disk_bytes(SMALL, kind).total_bytes / 1e6 == pytest.approx(seen_mb, rel=0.05)
