"""What is read back from a loaded vLLM, and which of its variables are told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from vllmconfig import vllm_config

from tokgate.engines.vllm_choices import read_back, variables

pytestmark = pytest.mark.unit


def test_what_decides_speed_is_read_back() -> None:
    assert read_back(vllm_config()) == {
        "dtype": "float16",
        "quantization": "None",
        "enforce_eager": "False",
        "max_model_len": "4096",
        "kv_cache_dtype": "auto",
        "kv_cache_tokens": "1600",
        "enable_prefix_caching": "False",
        "gpu_memory_utilization": "0.92",
        "max_num_seqs": "1024",
        "max_num_batched_tokens": "16384",
        "chunked_prefill": "True",
        "async_scheduling": "True",
        "distributed_executor_backend": "mp",
        "tensor_parallel_size": "2",
        "fuse_allreduce_rms": "False",
        "cudagraph_mode": "FULL_AND_PIECEWISE",
        "speculation": "none",
    }


def test_speculation_is_its_method_and_its_length() -> None:
    ngram = SimpleNamespace(method="ngram", num_speculative_tokens=4)
    assert read_back(vllm_config(speculative_config=ngram))["speculation"] == "ngram 4"


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"compilation_config": SimpleNamespace(cudagraph_mode=None)}, {"fuse_allreduce_rms"}),
        ({"parallel_config": SimpleNamespace()}, {"tensor_parallel_size", "distributed_executor_backend"}),
        (
            {"scheduler_config": SimpleNamespace(max_num_seqs=8)},
            {"max_num_batched_tokens", "chunked_prefill", "async_scheduling"},
        ),
    ],
)
def test_what_a_version_does_not_have_is_left_out(changes: dict[str, Any], missing: set[str]) -> None:
    assert read_back(vllm_config()).keys() - read_back(vllm_config(**changes)).keys() == missing


# As vLLM lists what it reads; those of the first line decide how it computes.
KNOWN = {
    *("VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_USE_FLASHINFER_SAMPLER", "VLLM_DISABLE_COMPILE_CACHE"),
    *("VLLM_MULTI_STREAM_GEMM_TOKEN_THRESHOLD", "VLLM_CPU_OMP_THREADS_BIND", "VLLM_KV_CACHE_LAYOUT"),
    *("VLLM_CACHE_ROOT", "VLLM_RPC_BASE_PATH", "VLLM_ASSETS_CACHE", "VLLM_PORT", "VLLM_HOST_IP", "VLLM_API_KEY"),
    *("VLLM_DP_MASTER_PORT", "VLLM_LOGGING_LEVEL", "VLLM_LOG_STATS_INTERVAL", "VLLM_CONFIGURE_LOGGING"),
    *("VLLM_NO_USAGE_STATS", "VLLM_DO_NOT_TRACK", "VLLM_BUILD_COMMIT", "VLLM_TUNED_CONFIG_FOLDER", "CUDA_HOME"),
}


def test_variables_that_change_how_it_computes_are_told() -> None:
    computing = {
        "VLLM_USE_FLASHINFER_SAMPLER": "0",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_DISABLE_COMPILE_CACHE": "1",
        "VLLM_MULTI_STREAM_GEMM_TOKEN_THRESHOLD": "64",
        "VLLM_CPU_OMP_THREADS_BIND": "0-3",
        "VLLM_KV_CACHE_LAYOUT": "HND",
    }
    told = variables(dict.fromkeys(KNOWN, "secret") | computing, KNOWN)
    assert told == ", ".join(f"{name}={value}" for name, value in sorted(computing.items()))


def test_of_variables_that_vllm_does_not_read_nothing_is_told() -> None:
    assert variables({"VLLM_SERVICE_HOST": "10.0.0.7", "VLLM_MINE": "1", "HOME": "/root"}, KNOWN) == "none"
    assert variables({}, KNOWN) == "none", "and none is told as such: an accepted session says that nothing was set"
