"""A served model asked what an engine is asked: what it is, and what it computes."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tokgate.accuracy import TopLogprobs
from tokgate.engines import Tokens
from tokgate.serving.request import Target
from tokgate.serving.server_metrics import fetch, samples
from tokgate.serving.vllm_cli import TOLD
from tokgate.serving.web import opened

# As many as vLLM gives unless it is told otherwise.
_TOP_LOGPROBS = 20
_ANSWER_S = 300.0
# Requests of one answer: a prompt each.
_PROMPTS = 16
_CACHE_CONFIG = "vllm:cache_config_info"
_CACHE_FACTS = ("cache_dtype", "block_size", "num_gpu_blocks", "enable_prefix_caching", "gpu_memory_utilization")
# What vLLM's log says its engine came to, 0.19 to 0.32; a line that a version words in another way is left out.
_LOGGED = {
    "attention_backend": r"Using (\w+) attention backend|Using AttentionBackendEnum\.(\w+) backend",
    "flash_attention_version": r"Using FlashAttention version (\d+)",
    # Of the first quantised layer, as the offline engine tells it.
    "linear_kernel": r"(?:Selected|Using) (\w+Kernel) for ",
    "kv_cache_tokens": r"KV cache size: ([\d,]+) tokens",
    "dtype": r"\bdtype=torch\.(\w+)",
    "quantization": r"\bquantization=([\w-]+)",
    "enforce_eager": r"\benforce_eager=(\w+)",
    "max_model_len": r"\bmax_seq_len=(\d+)",
    "chunked_prefill": r"\benable_chunked_prefill=(\w+)",
    "max_num_batched_tokens": r"max_num_batched_tokens=(\d+)",
    "cudagraph_mode": r"cudagraph_mode'?: <?CUDAGraphMode\.(\w+)",
}


class ServedModel:
    """The model of a running server; `target` is where its completions are asked for.

    `log`: the server's, if it is at hand; `facts`: what else is worth recording of it.
    """

    def __init__(
        self, target: Target, model: str, log: Path | None = None, facts: Mapping[str, str] | None = None
    ) -> None:
        self._target = target
        self._model = model
        self._log = log
        self._facts = dict(facts or {})

    def describe(self) -> dict[str, str]:
        """Version and choices, as the server tells them and its log shows them; the engine's own word goes last."""
        log = self._log.read_text("utf-8", "replace") if self._log else ""
        return {**self._version(), **self._cache_config(), **_told(log), **_logged(log), **self._facts}

    def forced_logits(self, prompts: Tokens, continuation: Tokens) -> TopLogprobs:
        """The largest log-probabilities at each position, as engines/vllm.py gives them: each step fed the true token.

        Raises OSError or ValueError where the server answers something else.
        """
        steps = continuation.shape[1]
        inputs = [
            [*prompt, *tail[:step]]
            for prompt, tail in zip(prompts.tolist(), continuation.tolist(), strict=True)
            for step in range(steps)
        ]
        tops: list[list[tuple[int, float]]] = []
        for first in range(0, len(inputs), _PROMPTS):
            tops += self._tops(inputs[first : first + _PROMPTS])
        shape = (prompts.shape[0], steps, -1)
        return TopLogprobs(
            np.array([[token for token, _ in top] for top in tops], np.int64).reshape(shape),
            np.array([[logprob for _, logprob in top] for top in tops], np.float32).reshape(shape),
        )

    def _tops(self, inputs: list[list[int]]) -> list[list[tuple[int, float]]]:
        answer = self._asked(
            {
                "prompt": inputs,
                "max_tokens": 1,
                "temperature": 0.0,
                "ignore_eos": True,
                "logprobs": _TOP_LOGPROBS,
                "return_tokens_as_token_ids": True,
            }
        )
        choices = sorted(answer["choices"], key=lambda choice: int(choice["index"]))
        return [_largest(choice["logprobs"]["top_logprobs"][0]) for choice in choices]

    def _asked(self, body: Mapping[str, Any]) -> dict[str, Any]:
        content = json.dumps({"model": self._model, **body}).encode()
        headers = {"Content-Type": "application/json", **dict(self._target.headers)}
        with opened(self._target.url, _ANSWER_S, content, headers) as answer:
            decoded: dict[str, Any] = json.load(answer)
        return decoded

    def _version(self) -> dict[str, str]:
        text = fetch(self._target.beside("/version"))
        try:
            return {"vllm": str(json.loads(text or b"{}")["version"])}
        except (ValueError, KeyError):
            return {}

    def _cache_config(self) -> dict[str, str]:
        """vLLM's settings of the KV cache stand as labels in its metrics."""
        text = (fetch(self._target.beside("/metrics")) or b"").decode("utf-8", "replace")
        with contextlib.suppress(ValueError):
            for sample in samples(text, (_CACHE_CONFIG,)):
                return {name: sample.labels[name] for name in _CACHE_FACTS if name in sample.labels}
        return {}


def _largest(logprobs: Mapping[str, float]) -> list[tuple[int, float]]:
    """{"token_id:561": -6.4, ...} -> the largest, first."""
    pairs = ((int(name.removeprefix("token_id:")), value) for name, value in logprobs.items())
    return sorted(pairs, key=lambda pair: -pair[1])[:_TOP_LOGPROBS]


def _told(log: str) -> dict[str, str]:
    """What the server's configuration came to, see vllm_cli.py; empty of a server that does not say, or not legibly."""
    # vLLM may put the process's name in front.
    line = re.search(f"{re.escape(TOLD)}(.*)", log)
    try:
        told: dict[str, str] = json.loads(line.group(1)) if line else {}
    except ValueError:
        return {}
    return told


def _logged(log: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, pattern in _LOGGED.items():
        match = re.search(pattern, log)
        if match:
            found[name] = _first(match.groups()).replace(",", "")
    return found


def _first(groups: Iterable[str | None]) -> str:
    return next(group for group in groups if group)
