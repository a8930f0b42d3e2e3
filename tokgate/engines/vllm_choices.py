"""What decides how fast vLLM is: the configuration that it settled on, and the variables that it was given.

Imports no vLLM. Where things stand is that of vLLM 0.19 to 0.32.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from contextlib import suppress
from operator import attrgetter
from typing import Any

UNKNOWN = "unknown"
# Name -> its place in a VllmConfig.
_PLACES = {
    "dtype": "model_config.dtype",
    "quantization": "model_config.quantization",
    "enforce_eager": "model_config.enforce_eager",
    "max_model_len": "model_config.max_model_len",
    "kv_cache_dtype": "cache_config.cache_dtype",
    "enable_prefix_caching": "cache_config.enable_prefix_caching",
    "gpu_memory_utilization": "cache_config.gpu_memory_utilization",
    "max_num_seqs": "scheduler_config.max_num_seqs",
    "max_num_batched_tokens": "scheduler_config.max_num_batched_tokens",
    "chunked_prefill": "scheduler_config.enable_chunked_prefill",
    # Where nobody says, vLLM decides: rows that wait for the host are slower without.
    "async_scheduling": "scheduler_config.async_scheduling",
    # One process for scheduling and running the model ("uni"), or more.
    "distributed_executor_backend": "parallel_config.distributed_executor_backend",
    "tensor_parallel_size": "parallel_config.tensor_parallel_size",
    "fuse_allreduce_rms": "compilation_config.pass_config.fuse_allreduce_rms",
}
# Variables that say where something is, or who may, and what is logged and reported: they compute nothing, and what is
# recorded goes into baselines that others read.
_UNTOLD = re.compile(
    r"_(DIR|FOLDER|HOST|IPS?|KEY|NAME|PATH|PORT|PREFIX|ROOT|SERVER|TOKEN|URL)$|_(ASSETS|MEDIA)_CACHE$"
    r"|_LOG(GING)?(_|$)|_(BUILD|TRACK|USAGE)(_|$)"
)


def read_back(config: Any) -> dict[str, str]:
    """Of a VllmConfig; what a version does not have is left out."""
    found = {}
    for name, place in _PLACES.items():
        with suppress(AttributeError):
            found[name] = str(attrgetter(place)(config)).removeprefix("torch.")
    blocks, block_size = config.cache_config.num_gpu_blocks, config.cache_config.block_size
    return {
        **found,
        "cudagraph_mode": getattr(config.compilation_config.cudagraph_mode, "name", "none"),
        "kv_cache_tokens": str(blocks * block_size if blocks else UNKNOWN),
        "speculation": _speculation(getattr(config, "speculative_config", None)),
    }


def variables(environ: Mapping[str, str], known: Container[str]) -> str:
    """'VLLM_USE_FLASHINFER_SAMPLER=0, ...': those of `known` that are set, or 'none'. One text, so that a session tells
    of a variable that is not set too."""
    told = sorted(name for name in environ if name.startswith("VLLM_") and name in known and not _UNTOLD.search(name))
    return ", ".join(f"{name}={environ[name]}" for name in told) or "none"


def _speculation(config: Any) -> str:
    """'ngram 4': the method, and how many tokens it proposes at a time."""
    if config is None:
        return "none"
    said = (getattr(config, name, None) for name in ("method", "num_speculative_tokens"))
    return " ".join(str(word) for word in said if word is not None)
