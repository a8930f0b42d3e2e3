"""vLLM offline: `LLM.generate` as its documentation shows it. Serves vLLM 0.19 to 0.32, on CUDA and on the CPU.

Settings go to vLLM's engine arguments as they are, whatever they are: what vLLM does not know it refuses itself,
by name. Only `sampling` goes to the requests, as sampling parameters beside greedy decoding's, before a call's own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

os.environ.update(
    # Reading back what was chosen calls a function in vLLM's own worker processes, which are ours.
    VLLM_ALLOW_INSECURE_SERIALIZATION="1",
    # Models are folders on this disk; nothing is asked for, and nothing reported, over the network.
    HF_HUB_OFFLINE="1",
    VLLM_NO_USAGE_STATS="1",
)

import torch
import vllm
from vllm import LLM, SamplingParams, envs  # here, or vLLM would import most of itself when they are first named

from tokgate.accuracy import TopLogprobs
from tokgate.engines import Generation, Tokens
from tokgate.engines.compile_cache import CompileWatch
from tokgate.engines.decoding import Decoding, cut
from tokgate.engines.kv_cache import cache_use, watch_cache
from tokgate.engines.vllm_choices import read_back, variables

# What makes rows comparable; a scenario's own settings win.
_DEFAULTS: dict[str, Any] = {
    # A round repeats its prompts: with the cache on, from the second round on it would have no prefill.
    "enable_prefix_caching": False,
    # TTFT, preemptions and KV cache use come from vLLM's own statistics.
    "disable_log_stats": False,
    "seed": 0,
}
# Above, always: it says nothing of a row.
_SET_HERE = {"VLLM_ALLOW_INSECURE_SERIALIZATION"}
# As many as vLLM gives unless it is told otherwise.
_TOP_LOGPROBS = 20
_COUNTERS = (
    "vllm:num_preemptions",
    "vllm:prefix_cache_queries",
    "vllm:prefix_cache_hits",
    "vllm:spec_decode_num_draft_tokens",
    "vllm:spec_decode_num_accepted_tokens",
)


class VllmEngine:
    """One `LLM`. `threads` is not used: vLLM binds its own."""

    def __init__(self, model_dir: str, threads: int, settings: dict[str, Any]) -> None:
        arguments = {**_DEFAULTS, **settings}
        self._sampling = {"temperature": 0.0, **arguments.pop("sampling", {})}
        caches = CompileWatch(os.environ, Path.home())
        # Before vLLM is loaded, which sets some for itself.
        self._variables = variables(os.environ, envs.environment_variables.keys() - _SET_HERE)
        self._llm = LLM(model=model_dir, **arguments)
        self._compiled = caches.new()
        self._chosen = self._read_back()
        self._cache_peak = watch_cache(self._llm)

    def generate(
        self,
        prompts: Tokens,
        output_len: int,
        decoding: Decoding | None = None,
        sampling: Mapping[str, Any] | None = None,
    ) -> Generation:
        """`prefill_s` and `tpot_s` are medians over the requests, by vLLM's clock. `sampling`: parameters by name."""
        chosen = {**self._sampling, **(sampling or {})}
        inputs = [{"prompt_token_ids": prompt} for prompt in prompts.tolist()]
        lengths = {"max_tokens": output_len, "ignore_eos": True}
        if decoding is None:
            params = SamplingParams(**chosen, **lengths)
        else:
            params = [
                SamplingParams(**{**chosen, **_choices(decoding, number)}, **lengths) for number in range(len(inputs))
            ]
        if self._cache_peak is not None:
            self._cache_peak.share = 0.0
        started = time.perf_counter()
        outputs = self._llm.generate(inputs, params, use_tqdm=False)
        total_s = time.perf_counter() - started
        tokens = np.full((len(inputs), output_len), -1, np.int64)
        for row, output in zip(tokens, outputs, strict=True):
            made = output.outputs[0].token_ids[:output_len]
            row[: len(made)] = made
        if decoding is not None:
            tokens = cut(tokens, decoding.stop_ids)
        stats = [output.metrics for output in outputs]
        decode_s = [stat.last_token_ts - stat.first_token_ts for stat in stats]
        return Generation(
            tokens,
            prefill_s=median(stat.first_token_latency for stat in stats),
            total_s=total_s,
            tpot_s=median(decode_s) / (output_len - 1) if output_len > 1 else None,
        )

    def traced(self, prompts: Tokens, output_len: int, sampling: Mapping[str, Any] | None = None) -> Generation:
        """`generate` under vLLM's own profiler, which a setting (profiler_config) must have asked for.

        The traces are written when this returns.
        """
        self._llm.start_profile()
        try:
            return self.generate(prompts, output_len, sampling=sampling)
        finally:
            self._llm.stop_profile()

    def forced_logits(self, prompts: Tokens, continuation: Tokens) -> TopLogprobs:
        """The largest log-probabilities at each position; vLLM gives no whole vocabulary at a bearable price."""
        steps = continuation.shape[1]
        inputs = [
            {"prompt_token_ids": [*prompt, *tail[:step]]}
            for prompt, tail in zip(prompts.tolist(), continuation.tolist(), strict=True)
            for step in range(steps)
        ]
        params = SamplingParams(temperature=0.0, max_tokens=1, ignore_eos=True, logprobs=_TOP_LOGPROBS)
        outputs = self._llm.generate(inputs, params, use_tqdm=False)
        tops = [
            sorted(output.outputs[0].logprobs[0].items(), key=lambda item: -item[1].logprob)[:_TOP_LOGPROBS]
            for output in outputs
        ]
        shape = (prompts.shape[0], steps, -1)
        return TopLogprobs(
            np.array([[token for token, _ in top] for top in tops], np.int64).reshape(shape),
            np.array([[entry.logprob for _, entry in top] for top in tops], np.float32).reshape(shape),
        )

    def describe(self) -> dict[str, str]:
        return {"vllm": vllm.__version__, "torch": torch.__version__, **self._chosen}

    def compiled(self) -> dict[str, int]:
        """What came into the caches of compiled things while it loaded, by cache; empty where they held all of it."""
        return self._compiled

    def counters(self) -> dict[str, float]:
        """vLLM's own counters since the start, by name; those it does not have are left out."""
        found = {metric.name: float(metric.value) for metric in self._llm.get_metrics() if metric.name in _COUNTERS}
        return {name.removeprefix("vllm:"): value for name, value in found.items()}

    def kv_cache(self) -> dict[str, int | None]:
        """Blocks of the KV cache: what the last generate call used at once, and how many there are."""
        config = self._llm.llm_engine.vllm_config.cache_config
        return cache_use(self._cache_peak, config.num_gpu_blocks, config.block_size)

    def _read_back(self) -> dict[str, str]:
        return {
            **read_back(self._llm.llm_engine.vllm_config),
            "environment": self._variables,
            "attention_backend": self._asked(_attention_backend),
            "linear_kernel": self._asked(_linear_kernel),
        }

    def _asked(self, question: Callable[[Any], str]) -> str:
        """A question to the first of vLLM's workers; what a version cannot answer is told as such."""
        try:
            return str(self._llm.collective_rpc(question)[0])
        except Exception as error:  # recorded, never a reason not to measure: the attributes are vLLM's internals
            return f"unknown ({type(error).__name__})"


def _choices(decoding: Decoding, number: int) -> dict[str, Any]:
    """As sampling parameters of the batch's sequence `number`.

    Each has a seed of its own: vLLM draws for each request by itself, and from one seed two that ask alike would be
    answered alike.
    """
    stops: dict[str, Any] = {"stop_token_ids": list(decoding.stop_ids)}
    if decoding.temperature == 0:
        return {**stops, "temperature": 0.0}
    return {**stops, "temperature": decoding.temperature, "seed": decoding.seed + number}


def _attention_backend(worker: Any) -> str:
    groups = worker.model_runner.attn_groups
    return ", ".join(sorted({str(group.backend.get_name()) for layer in groups for group in layer}))


def _linear_kernel(worker: Any) -> str:
    """The kernel of the first quantised layer, or the class of the method where there is no such choice."""
    for module in worker.model_runner.model.modules():
        method = getattr(module, "quant_method", None)
        scheme = getattr(module, "scheme", None)
        kernel = getattr(scheme, "kernel", None)
        if kernel is not None:
            return type(kernel).__name__
        if method is not None and "Linear" in type(method).__name__:
            return type(scheme or method).__name__
    return "none"
