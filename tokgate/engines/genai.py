"""ONNX Runtime GenAI: its own generate loop, on the graph that its model builder makes of the checkpoint.

The library chooses the tokens and keeps the KV cache, which it allocates whole at the start, for as many tokens as
the sequences will have. It stops at an end-of-sequence token: that token is kept from being chosen, which costs one
write a step and no work.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime_genai as genai

from tokgate.engines import Generation, Logits, Tokens
from tokgate.engines.decoding import Decoding, choose, cut, ended
from tokgate.engines.values import switch

_CONFIG_FILE = "genai_config.json"
_SETTINGS = ("allow_spinning",)
# Of logits: what is far from any that a model gives.
_NEVER = np.float32(-1e9)


class GenaiEngine:
    """One model on the CPU.

    Settings: `allow_spinning` (bool, ONNX Runtime's default is true): whether idle worker threads spin.
    """

    def __init__(self, model_dir: str, threads: int, settings: dict[str, Any]) -> None:
        unknown = sorted(set(settings) - set(_SETTINGS))
        if unknown:
            raise ValueError(f"GenAI engine: unknown settings {unknown}; known: {', '.join(_SETTINGS)}")
        # Models are folders on this disk; nothing is reported over the network.
        genai.disable_telemetry_events()
        self._threads = threads
        self._spinning = switch("allow_spinning", settings.get("allow_spinning", True))
        self._model_config = json.loads((Path(model_dir) / _CONFIG_FILE).read_text())["model"]
        config = genai.Config(model_dir)
        config.overlay(json.dumps(session_overlay(threads, self._spinning)))
        self._model = genai.Model(config)

    def generate(self, prompts: Tokens, output_len: int, decoding: Decoding | None = None) -> Generation:
        if decoding is not None:
            return self._decode(prompts, output_len, decoding)
        started = time.perf_counter()
        generator = self._generator(prompts, output_len, endless=True)
        tokens = np.full((prompts.shape[0], output_len), -1, np.int64)
        generator.generate_next_token()
        tokens[:, 0] = generator.get_next_tokens()
        prefilled = time.perf_counter()
        for step in range(1, output_len):
            generator.generate_next_token()
            tokens[:, step] = generator.get_next_tokens()
        return Generation(tokens, prefilled - started, time.perf_counter() - started)

    def _decode(self, prompts: Tokens, output_len: int, decoding: Decoding) -> Generation:
        started = time.perf_counter()
        random = np.random.default_rng(decoding.seed)
        generator = self._generator(prompts, output_len)
        tokens = np.full((prompts.shape[0], output_len), -1, np.int64)
        tokens[:, 0] = choose(self._possible(generator), decoding.temperature, random)
        prefilled = time.perf_counter()
        done = ended(tokens[:, :1], decoding.stop_ids)
        for step in range(1, output_len):
            if done.all():
                break
            self._feed(generator, tokens[:, step - 1])
            tokens[:, step] = choose(self._possible(generator), decoding.temperature, random)
            done |= ended(tokens[:, step : step + 1], decoding.stop_ids)
        return Generation(cut(tokens, decoding.stop_ids), prefilled - started, time.perf_counter() - started)

    def forced_logits(self, prompts: Tokens, continuation: Tokens) -> Logits:
        """Raises ValueError where `continuation` holds the token that the library takes for the end."""
        end = self._model_config["eos_token_id"]
        if (continuation[:, :-1] == end).any():
            raise ValueError(f"the continuation holds token {end}, at which ONNX Runtime GenAI ends a sequence")
        batch, count = continuation.shape
        generator = self._generator(prompts, count)
        logits = np.empty((batch, count, self._model_config["vocab_size"]), np.float32)
        logits[:, 0] = generator.get_logits()[:, -1]
        for step in range(1, count):
            self._feed(generator, continuation[:, step - 1])
            logits[:, step] = generator.get_logits()[:, -1]
        return logits

    def describe(self) -> dict[str, str]:
        return {
            "onnxruntime-genai": genai.__version__,
            "device": str(self._model.device_type),
            "threads": str(self._threads),
            "spinning": "on" if self._spinning else "off",
        }

    def _generator(self, prompts: Tokens, output_len: int, *, endless: bool = False) -> Any:
        """With the prompts computed. `endless`: no sequence ends before it has `output_len` tokens more."""
        batch, prompt_len = prompts.shape
        params = genai.GeneratorParams(self._model)
        length = prompt_len + output_len
        params.set_search_options(
            batch_size=batch,
            max_length=length,
            min_length=length if endless else 0,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
        )
        generator = genai.Generator(self._model, params)
        generator.append_tokens(np.ascontiguousarray(prompts, np.int32))
        return generator

    def _possible(self, generator: Any) -> Logits:
        """Logits [batch, vocab] of the last position, without the token that would end a sequence."""
        logits: Logits = generator.get_logits()[:, -1].copy()
        logits[:, self._model_config["eos_token_id"]] = -np.inf
        return logits

    def _feed(self, generator: Any, tokens: Tokens) -> None:
        """Has `tokens` [batch] chosen: of several sequences the library takes no further tokens in another way."""
        logits = np.full((len(tokens), 1, self._model_config["vocab_size"]), _NEVER)
        logits[np.arange(len(tokens)), 0, tokens] = 0.0
        generator.set_logits(logits)
        generator.generate_next_token()


def session_overlay(threads: int, spinning: bool) -> dict[str, Any]:
    """What is laid over a genai_config: ONNX Runtime's session options."""
    options = {
        "intra_op_num_threads": threads,
        "inter_op_num_threads": 1,
        "session.intra_op.allow_spinning": "1" if spinning else "0",
    }
    return {"model": {"decoder": {"session_options": options}}}
