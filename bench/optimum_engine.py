"""The peer: optimum's own ORTModelForCausalLM.generate, on the graph optimum exports, as a user would run it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from optimum.onnxruntime import ORTModelForCausalLM

from tokgate.engines import Generation, Tokens


class OptimumEngine:
    """Loads a folder with optimum's graph; only total_s is measured, its generate tells no prefill time."""

    def __init__(self, model_dir: str, threads: int, settings: dict[str, Any]) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        torch.set_num_threads(threads)
        self._model = ORTModelForCausalLM.from_pretrained(model_dir, session_options=options)

    def generate(self, prompts: Tokens, output_len: int) -> Generation:
        inputs = torch.from_numpy(np.ascontiguousarray(prompts))
        started = time.perf_counter()
        output = self._model.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            min_new_tokens=output_len,
            max_new_tokens=output_len,
            do_sample=False,
        )
        total_s = time.perf_counter() - started
        tokens = output[:, prompts.shape[1] :].numpy().astype(np.int64)
        assert tokens.shape[1] == output_len, "generate stopped early: the work is not equal"
        return Generation(tokens, total_s, total_s)
