"""A stand-in for vLLM's configuration."""

from __future__ import annotations

from enum import Enum
from types import SimpleNamespace
from typing import Any


class GraphMode(Enum):
    FULL_AND_PIECEWISE = (2, 1)


def vllm_config(**changes: Any) -> SimpleNamespace:
    """A VllmConfig as vLLM 0.19 to 0.32 have it, of what is read."""
    values: dict[str, Any] = {
        "model_config": SimpleNamespace(
            dtype="torch.float16", quantization=None, enforce_eager=False, max_model_len=4096
        ),
        "cache_config": SimpleNamespace(
            cache_dtype="auto", enable_prefix_caching=False, gpu_memory_utilization=0.92,
            num_gpu_blocks=100, block_size=16,
        ),
        "scheduler_config": SimpleNamespace(
            max_num_seqs=1024, max_num_batched_tokens=16384, enable_chunked_prefill=True, async_scheduling=True,
        ),
        "parallel_config": SimpleNamespace(tensor_parallel_size=2, distributed_executor_backend="mp"),
        "compilation_config": SimpleNamespace(
            cudagraph_mode=GraphMode.FULL_AND_PIECEWISE, pass_config=SimpleNamespace(fuse_allreduce_rms=False)
        ),
        "speculative_config": None,
        **changes,
    }  # fmt: skip
    return SimpleNamespace(**values)
