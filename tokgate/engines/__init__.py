"""Engines behind one small protocol: load, generate, describe (and the logits, to check what they compute).

Nothing here imports an engine until it is asked for by name: a worker holds one engine, the pytest process
holds none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from tokgate.accuracy import TopLogprobs
from tokgate.engines.decoding import Decoding

Tokens = NDArray[np.int64]
Logits = NDArray[np.float32]

# Engine name in scenario ids -> module:class.
_ENGINES = {
    "genai": "tokgate.engines.genai:GenaiEngine",
    "onnx": "tokgate.engines.onnxruntime:OnnxRuntimeEngine",
    "transformers": "tokgate.engines.transformers:TransformersEngine",
    "vllm": "tokgate.engines.vllm:VllmEngine",
}


@dataclass(frozen=True)
class Generation:
    """What one generate call did: `tokens` [batch, output_len], and its wall seconds.

    `prefill_s` runs from the call to the first token of every sequence being known; `total_s` to the last. An
    engine that serves its sequences as requests of their own gives the medians over them: of the time to the
    first token as `prefill_s`, of the time per output token after it as `tpot_s`.
    """

    tokens: Tokens
    prefill_s: float
    total_s: float
    tpot_s: float | None = None


class Engine(Protocol):
    """One loaded model. Greedy decoding, end-of-sequence ignored, exactly `output_len` tokens a sequence."""

    def generate(self, prompts: Tokens, output_len: int, decoding: Decoding | None = None) -> Generation:
        """Continues `prompts` [batch, prompt_len] by `output_len` >= 1 tokens each.

        What is measured is without `decoding`. With it tokens are chosen as it says, and -1 stands behind a stop id.
        """

    def forced_logits(self, prompts: Tokens, continuation: Tokens) -> Logits | TopLogprobs:
        """Logits [batch, steps, vocab] that predict `continuation` [batch, steps], each step fed the true token.

        Computed through the same prefill and decode path that `generate` uses. An engine that does not give
        them all gives the largest.
        """

    def describe(self) -> dict[str, str]:
        """Versions and choices worth recording: library version, graph, threads, spinning."""


def load(name: str, model_dir: str, threads: int, settings: dict[str, Any]) -> Engine:
    """Loads `model_dir` in engine `name` with `threads` compute threads. Raises KeyError for an unknown name.

    Of the settings `environment` is every engine's: variables that its libraries read while they are imported.
    """
    made = imported(name, settings)
    own = {key: value for key, value in settings.items() if key != "environment"}
    return cast(Engine, made(model_dir, threads, own))


def imported(name: str, settings: Mapping[str, Any]) -> Callable[..., Any]:
    """The class of engine `name`, whose libraries are imported then. Raises KeyError for an unknown name."""
    os.environ.update(settings.get("environment", {}))
    module, _, class_name = _ENGINES[name].partition(":")
    return cast(Callable[..., Any], getattr(import_module(module), class_name))
