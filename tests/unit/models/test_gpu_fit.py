"""Does it run on these GPUs? Asked of the machines that people have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.machine.gpustack import no_vllm
from tokgate.models import gpu_fit
from tokgate.models.catalog import load_model
from tokgate.models.gpu_fit import GpuWork, cannot_run

pytestmark = pytest.mark.unit

# As NVML says it, see machine/gpu.py.
T4 = {"gpu_name": "NVIDIA T4", "gpu_memory_mib": 15360, "compute_capability": "7.5"}
V100 = {"gpu_name": "NVIDIA V100-SXM2-16GB", "gpu_memory_mib": 16384, "compute_capability": "7.0"}
V100_32 = {"gpu_name": "NVIDIA V100-SXM2-32GB", "gpu_memory_mib": 32768, "compute_capability": "7.0"}
A10 = {"gpu_name": "NVIDIA A10", "gpu_memory_mib": 23028, "compute_capability": "8.6"}
H200 = {"gpu_name": "NVIDIA H200", "gpu_memory_mib": 143771, "compute_capability": "9.0"}


def work(model: str, precision: str, gpus: int = 1, engine: str = "vllm") -> GpuWork:
    shape = load_model(model).shape
    return GpuWork(shape, engine, precision, batch=50, tokens=1024, context=shape.max_context, gpus=gpus)


@pytest.mark.parametrize(
    ("model", "precision", "machines"),
    [
        ("qwen2.5-0.5b", "fp16", [T4, A10, H200]),
        ("qwen2.5-0.5b", "int8", [T4, A10, H200]),
        ("qwen2.5-0.5b", "bf16", [A10, H200]),
        ("qwen2.5-7b", "fp16", [A10, H200]),
        ("qwen2.5-7b", "int8", [T4, A10, H200]),
        ("qwen2.5-7b", "int4", [T4, A10, H200]),
        ("qwen2.5-7b", "bf16", [A10, H200]),
        ("mistral-7b", "fp16", [A10, H200]),
        ("mistral-7b", "int8", [T4, A10, H200]),
        ("mistral-7b", "bnb4", [T4, A10, H200]),
    ],
)
def test_what_runs_where(model: str, precision: str, machines: list[dict[str, Any]]) -> None:
    able = [machine for machine in (T4, V100, V100_32, A10, H200) if not cannot_run(work(model, precision), machine)]
    assert able == machines


def test_a_refusal_gives_the_sum_and_what_would_fit() -> None:
    refusal = cannot_run(work("mistral-7b", "fp16"), T4)
    assert refusal is not None
    assert refusal.startswith("measuring vllm fp16 on 1 GPU needs 16.8 GB: 14.5 GB weights + 0.5 GB KV cache + ")
    assert "available: 14.5 GB (90% of 1 GPU of 15360 MiB)" in refusal
    assert refusal.endswith("; would fit: INT8, INT4, TP=2, TP=4, TP=8")


def test_what_the_gpu_has_no_kernels_for_is_not_offered() -> None:
    plain = replace(work("mistral-7b", "fp16", engine="transformers"), batch=4)
    for machine, offered in ((T4, "; would fit: INT8"), (V100, "of 16384 MiB)")):
        refusal = cannot_run(plain, machine)
        assert refusal is not None
        assert refusal.startswith("measuring transformers fp16 on 1 GPU needs ")
        assert refusal.endswith(offered)


NO_VLLM = "no current vLLM runs on compute capability 7.0 (a V100 has 7.0): it needs 7.5 or more"


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8", "int4", "bnb4", "fp32"])
def test_a_v100_has_no_vllm_at_any_precision_and_on_any_number(precision: str) -> None:
    for gpus in (1, 2, 8):
        assert cannot_run(work("qwen2.5-0.5b", precision, gpus), V100) == NO_VLLM
    assert cannot_run(work("mistral-7b", "fp16"), V100_32) == NO_VLLM, "it would fit"


def test_what_would_not_fit_a_v100_either_is_told_with_the_sum() -> None:
    """As limits of such a machine: what would fit is of its memory alone, since it runs none of that."""
    refusal = cannot_run(work("mistral-7b", "fp16"), V100)
    assert refusal is not None
    start = (
        f"{NO_VLLM}; nor does it fit: measuring vllm fp16 on 1 GPU needs 16.8 GB: 14.5 GB weights + 0.5 GB KV cache + "
    )
    assert refusal.startswith(start)
    assert "; available: 15.5 GB (90% of 1 GPU of 16384 MiB)" in refusal
    assert refusal.endswith("; by memory alone would fit: INT8, INT4, TP=2, TP=4, TP=8")
    assert "; would fit" not in refusal


def test_what_doctor_refuses_is_what_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """At whatever capability that is."""
    monkeypatch.setattr("tokgate.machine.gpustack.LEAST_CAPABILITY", (8, 6))
    for machine, runs in ((T4, False), (A10, True)):
        seen = tuple(map(int, machine["compute_capability"].split(".")))
        assert cannot_run(work("qwen2.5-0.5b", "fp16"), machine) == no_vllm(seen)
        assert (no_vllm(seen) is None) == runs


def test_a_v100_runs_plain_transformers() -> None:
    for precision in ("fp16", "fp32"):
        assert cannot_run(work("qwen2.5-0.5b", precision, engine="transformers"), V100) is None


@pytest.mark.parametrize(
    ("precision", "machine", "said"),
    [
        ("bf16", T4, "vllm bf16 requires compute capability 8.0; this GPU has 7.5"),
        ("int8", V100, NO_VLLM),
    ],
)
def test_a_gpu_without_the_kernels_is_told(precision: str, machine: dict[str, Any], said: str) -> None:
    assert cannot_run(work("qwen2.5-0.5b", precision), machine) == said


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        ("bf16", "transformers bf16 requires compute capability 8.0; this GPU has 7.0"),
        ("int8", "transformers int8 requires compute capability 7.5; this GPU has 7.0"),
    ],
)
def test_so_it_is_of_transformers(precision: str, said: str) -> None:
    assert cannot_run(work("qwen2.5-0.5b", precision, engine="transformers"), V100) == said


def test_a_model_spread_over_two_gpus_may_fit() -> None:
    assert cannot_run(work("mistral-7b", "fp16", gpus=2), T4) is None


@pytest.mark.parametrize("machine", [{}, {"gpu_memory_mib": "not supported", "compute_capability": "not supported"}])
def test_a_machine_that_does_not_say_what_it_has_is_tried(machine: dict[str, Any]) -> None:
    assert cannot_run(work("mistral-7b", "bf16"), machine) is None


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_transformers_pays_for_the_whole_batch(precision: str) -> None:
    one = work("qwen2.5-7b", precision, engine="transformers")
    more = gpu_fit.gpu_bytes(replace(one, batch=100)).total_bytes
    assert more > gpu_fit.gpu_bytes(one).total_bytes
    assert gpu_fit.gpu_bytes(replace(one, engine="vllm", batch=100)) == gpu_fit.gpu_bytes(replace(one, engine="vllm"))


def test_the_sum_is_of_what_the_engine_is_told() -> None:
    one = replace(work("qwen2.5-7b", "int8"), context=131072)
    assert one.told({"enforce_eager": False, "kv_cache_dtype": "auto", "seed": 1}) == one
    assert one.told({"max_model_len": 4096}).context == 4096
    assert one.told({"max_model_len": -1}).context == one.told({"max_model_len": "auto"}).context == one.tokens
    eight_bits = one.told({"kv_cache_dtype": "fp8"})
    cache, halved = (dict(gpu_fit.gpu_bytes(each).parts)["KV cache"] for each in (one, eight_bits))
    assert cache == 2 * halved == 131072 * 2 * 28 * 4 * 128 * 2
    assert cannot_run(one, T4) is not None
    assert cannot_run(one.told({"max_model_len": 4096}), T4) is None
    refusal = cannot_run(one.told({"max_model_len": 4096, "gpu_memory_utilization": 0.5}), T4)
    assert refusal is not None
    assert "available: 8.1 GB (50% of 1 GPU of 15360 MiB)" in refusal


@pytest.mark.parametrize(
    ("told", "part", "size"),
    [
        ({}, "weights", 14_483_464_192),
        ({"cpu_offload_gb": 8}, "weights", 14_483_464_192 - 8 * 2**30),
        ({"cpu_offload_gb": 0.5}, "weights", 14_483_464_192 - 2**29),
        # The embedding and the output layer stay: 2 x 32,000 x 4,096 values.
        ({"cpu_offload_gb": 100}, "weights", 2 * 2 * 32000 * 4096),
        ({"cpu_offload_gb": float("inf")}, "weights", 2 * 2 * 32000 * 4096),
        ({"cpu_offload_gb": -1}, "weights", 14_483_464_192),
        ({"quantization": "bitsandbytes"}, "weights", 4_014_082_048),
        ({"quantization": "fp8"}, "weights", 14_483_464_192),
        ({}, "activations", 2 * 8192 * (3 * 14336 + 4 * 4096)),
        ({"max_num_batched_tokens": 2048}, "activations", 2 * 2048 * (3 * 14336 + 4 * 4096)),
        ({"max_num_batched_tokens": 32768}, "activations", 2 * 32768 * (3 * 14336 + 4 * 4096)),
        ({"max_num_batched_tokens": 0}, "activations", 2 * 8192 * (3 * 14336 + 4 * 4096)),
        ({"max_num_batched_tokens": 2048, "max_model_len": 32768}, "KV cache", (4096 + 2048) * 2 * 32 * 8 * 128 * 2),
        ({}, "logits", 2 * 4 * 256 * 32000),
        ({"max_num_seqs": 16}, "logits", 2 * 4 * 16 * 32000),
        ({"max_num_seqs": "many"}, "logits", 2 * 4 * 256 * 32000),
        ({}, "CUDA graphs", 250_000_000),
        ({"enforce_eager": True}, "CUDA graphs", 0),
        ({"enforce_eager": True}, "workspaces", 450_000_000),
    ],
)
def test_each_setting_changes_its_part_of_the_sum(told: dict[str, Any], part: str, size: int) -> None:
    assert dict(gpu_fit.gpu_bytes(work("mistral-7b", "fp16").told(told)).parts)[part] == size


def test_offloaded_weights_let_a_model_run_that_is_too_large_otherwise() -> None:
    one = work("mistral-7b", "fp16")
    assert cannot_run(one, T4) is not None
    assert cannot_run(one.told({"cpu_offload_gb": 8}), T4) is None
    refusal = cannot_run(one.told({"cpu_offload_gb": 1}), T4)
    assert refusal is not None
    assert refusal.startswith("measuring vllm fp16 on 1 GPU needs 15.7 GB: 13.4 GB weights + ")


def test_what_each_gpu_offloads_is_its_own() -> None:
    told = {"cpu_offload_gb": 2}
    one, two = (work("mistral-7b", "fp16", gpus=gpus).told(told) for gpus in (1, 2))
    assert (one.offloaded_bytes, two.offloaded_bytes) == (2 * 2**30, 4 * 2**30)


@pytest.mark.parametrize(
    ("model", "times"),
    [
        ("mistral-7b", (64 + 32 + 256 + 128) / (48 + 32 + 224 + 112)),
        ("qwen2.5-7b", (32 + 32 + 512 + 256) / (31.5 + 24.5 + 259 + 129.5)),
    ],
)
def test_the_host_pins_each_matrix_in_a_power_of_two(model: str, times: float) -> None:
    """In MiB: queries, keys and values; the attention's output; gate and up; down."""
    one = work(model, "fp16").told({"cpu_offload_gb": 8})
    assert one.host_bytes / one.offloaded_bytes == pytest.approx(times, rel=1e-6)
    assert work(model, "fp16").host_bytes == 0


def test_a_step_that_is_told_too_large_is_refused() -> None:
    one = work("qwen2.5-7b", "int8")
    assert cannot_run(one, T4) is None
    refusal = cannot_run(one.told({"max_num_batched_tokens": 65536}), T4)
    assert refusal is not None
    assert " + 9.3 GB activations + " in refusal


def test_weights_made_of_4_bits_while_they_are_loaded_fit_and_fewer_bits_are_not_offered() -> None:
    one = work("mistral-7b", "fp16").told({"quantization": "bitsandbytes"})
    assert cannot_run(one, T4) is None
    refusal = cannot_run(one.told({"max_num_batched_tokens": 131072}), T4)
    assert refusal is not None
    assert refusal.endswith("; would fit: TP=2, TP=4, TP=8")


@pytest.mark.parametrize(
    ("precision", "told", "width"),
    [
        *(("fp16", told, 2) for told in (None, "auto", "float16", "bfloat16")),
        *(("int8", told, 1) for told in ("fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc")),
        ("fp32", None, 4),
        ("fp32", "auto", 4),
        ("fp32", "bfloat16", 2),
        ("fp32", "fp8", 1),
    ],
)
def test_the_sums_cache_is_as_wide_as_it_is_told(precision: str, told: str | None, width: int) -> None:
    one = work("qwen2.5-0.5b", precision)
    for each in (one.told({"kv_cache_dtype": told}), *([one.told({})] if told is None else [])):
        assert dict(gpu_fit.gpu_bytes(each).parts)["KV cache"] == one.shape.kv_bytes(1, one.context, width)


def test_of_a_sliding_window_no_more_is_kept_than_it_and_one_step() -> None:
    mistral = work("mistral-7b", "int8")
    assert (mistral.shape.sliding_window, mistral.context) == (4096, 4096)
    caches = [
        dict(gpu_fit.gpu_bytes(replace(mistral, context=context)).parts)["KV cache"] for context in (4096, 12288, 32768)
    ]
    assert caches == [tokens * 2 * 32 * 8 * 128 * 2 for tokens in (4096, 12288, 12288)]


@given(st.sampled_from(["fp16", "int8", "int4"]), st.integers(1, 4000))
def test_a_longer_context_never_needs_less(precision: str, context: int) -> None:
    one = replace(work("qwen2.5-0.5b", precision), context=context)
    assert gpu_fit.gpu_bytes(replace(one, context=context + 1)).total_bytes > gpu_fit.gpu_bytes(one).total_bytes
