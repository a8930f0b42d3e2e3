"""ONNX Runtime: a decode loop of its own on InferenceSession, its KV cache in place.

The graph is the one tokgate.models builds (see models/onnx_graph.py): attention is GroupQueryAttention, which
writes new keys and values into the buffer that holds the old ones, and logits are computed for the last
position only. So a decode step copies no cache and prefill computes no logits that are thrown away.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from tokgate.engines import Generation, Logits, Tokens
from tokgate.engines.decoding import Decoding, choose, cut, ended
from tokgate.engines.values import switch, whole_number

GRAPH_FILE = "model.onnx"


class OnnxRuntimeEngine:
    """One InferenceSession on the CPU.

    Settings: `allow_spinning` (bool, ONNX Runtime's default is true): whether idle worker threads spin; `threads`:
    how many compute, where that is not as many as there are.
    """

    def __init__(self, model_dir: str, threads: int, settings: dict[str, Any]) -> None:
        unknown = set(settings) - {"allow_spinning", "threads"}
        if unknown:
            raise ValueError(f"ONNX Runtime engine: unknown settings {sorted(unknown)}; known: allow_spinning, threads")
        self._threads = whole_number("threads", settings.get("threads", threads))
        self._spinning = switch("allow_spinning", settings.get("allow_spinning", True))
        config = json.loads((Path(model_dir) / "config.json").read_text())
        heads = config["num_attention_heads"]
        self._kv_heads: int = config.get("num_key_value_heads") or heads
        self._head_dim: int = config.get("head_dim") or config["hidden_size"] // heads
        self._vocab_size: int = config["vocab_size"]

        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if self._spinning else "0")
        self._session = ort.InferenceSession(
            str(Path(model_dir) / GRAPH_FILE), options, providers=["CPUExecutionProvider"]
        )
        self._caches = [
            name.removeprefix("past_key_values.")
            for name in (value.name for value in self._session.get_inputs())
            if name.startswith("past_key_values.")
        ]

    def generate(self, prompts: Tokens, output_len: int, decoding: Decoding | None = None) -> Generation:
        if decoding is not None:
            return self._decode(prompts, output_len, decoding)
        started = time.perf_counter()
        steps = _Steps(self, prompts, prompts.shape[1] + output_len)
        tokens = np.full((prompts.shape[0], output_len), -1, np.int64)
        tokens[:, 0] = steps.run(prompts).argmax(axis=-1)
        prefilled = time.perf_counter()
        for step in range(1, output_len):
            tokens[:, step] = steps.run(tokens[:, step - 1 : step]).argmax(axis=-1)
        return Generation(tokens, prefilled - started, time.perf_counter() - started)

    def _decode(self, prompts: Tokens, output_len: int, decoding: Decoding) -> Generation:
        started = time.perf_counter()
        random = np.random.default_rng(decoding.seed)
        steps = _Steps(self, prompts, prompts.shape[1] + output_len)
        tokens = np.full((prompts.shape[0], output_len), -1, np.int64)
        tokens[:, 0] = choose(steps.run(prompts), decoding.temperature, random)
        prefilled = time.perf_counter()
        done = ended(tokens[:, :1], decoding.stop_ids)
        for step in range(1, output_len):
            if done.all():
                break
            tokens[:, step] = choose(steps.run(tokens[:, step - 1 : step]), decoding.temperature, random)
            done |= ended(tokens[:, step : step + 1], decoding.stop_ids)
        return Generation(cut(tokens, decoding.stop_ids), prefilled - started, time.perf_counter() - started)

    def forced_logits(self, prompts: Tokens, continuation: Tokens) -> Logits:
        batch, count = continuation.shape
        steps = _Steps(self, prompts, prompts.shape[1] + count)
        logits = np.empty((batch, count, self._vocab_size), np.float32)
        logits[:, 0] = steps.run(prompts)
        for step in range(1, count):
            logits[:, step] = steps.run(continuation[:, step - 1 : step])
        return logits

    def describe(self) -> dict[str, str]:
        return {
            "onnxruntime": ort.__version__,
            "providers": ",".join(self._session.get_providers()),
            "threads": str(self._threads),
            "spinning": "on" if self._spinning else "off",
        }


class _Steps:
    """The KV cache of one batch, and the steps that fill it. Its buffers are bound once, not each step."""

    def __init__(self, engine: OnnxRuntimeEngine, prompts: Tokens, context_len: int) -> None:
        batch = prompts.shape[0]
        self._session = engine._session
        self._binding = engine._session.io_binding()
        self._mask = np.ones((batch, context_len), np.int64)
        self._filled = 0
        shape = (batch, engine._kv_heads, context_len, engine._head_dim)
        # A binding does not keep what is bound to it (ONNX Runtime 1.23 then reads freed memory): this does.
        self._bound: list[ort.OrtValue] = []
        for name in engine._caches:
            cache = self._value_of(np.zeros(shape, np.float32))
            self._binding.bind_ortvalue_input(f"past_key_values.{name}", cache)
            self._binding.bind_ortvalue_output(f"present.{name}", cache)
        # On the CPU an OrtValue is a view of the array: what the graph writes is read here without a copy.
        self._logits = np.empty((batch, 1, engine._vocab_size), np.float32)
        self._binding.bind_ortvalue_output("logits", self._value_of(self._logits))

    def _value_of(self, array: NDArray[np.float32]) -> ort.OrtValue:
        self._bound.append(ort.OrtValue.ortvalue_from_numpy(array))
        return self._bound[-1]

    def run(self, tokens: Tokens) -> Logits:
        """Feeds tokens [batch, n] behind those fed before; logits [batch, vocab] of the last, until the next run."""
        self._filled += tokens.shape[1]
        self._binding.bind_cpu_input("input_ids", np.ascontiguousarray(tokens))
        self._binding.bind_cpu_input("attention_mask", np.ascontiguousarray(self._mask[:, : self._filled]))
        self._session.run_with_iobinding(self._binding)
        return self._logits[:, 0]
