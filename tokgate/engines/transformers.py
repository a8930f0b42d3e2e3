"""Plain transformers in FP32 or BF16: what people start from, and what the other engines are measured against."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
import transformers

from tokgate.engines import Generation, Logits, Tokens

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class TransformersEngine:
    """`model.generate`, as its documentation shows it. Settings: `dtype`, "fp32" or "bf16"."""

    def __init__(self, model_dir: str, threads: int, settings: dict[str, Any]) -> None:
        unknown = set(settings) - {"dtype"}
        if unknown:
            raise ValueError(f"transformers engine: unknown settings {sorted(unknown)}; known: dtype")
        self._dtype = str(settings.get("dtype", "fp32"))
        self._threads = threads
        torch.set_num_threads(threads)
        self._model = transformers.AutoModelForCausalLM.from_pretrained(
            model_dir,
            dtype=_DTYPES[self._dtype],
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        ).eval()
        # A hub's generation_config may ask for sampling or penalties; every engine here does the same greedy work.
        self._model.generation_config = transformers.GenerationConfig(pad_token_id=0, do_sample=False)

    def generate(self, prompts: Tokens, output_len: int) -> Generation:
        clock = _FirstToken()
        inputs = torch.from_numpy(np.ascontiguousarray(prompts))
        started = time.perf_counter()
        with torch.inference_mode():
            output = self._model.generate(
                inputs,
                attention_mask=torch.ones_like(inputs),
                min_new_tokens=output_len,
                max_new_tokens=output_len,
                streamer=None,
                stopping_criteria=transformers.StoppingCriteriaList([clock]),
            )
        total_s = time.perf_counter() - started
        tokens = output[:, prompts.shape[1] :].numpy().astype(np.int64)
        return Generation(tokens, clock.at - started, total_s)

    def forced_logits(self, prompts: Tokens, continuation: Tokens) -> Logits:
        tokens = torch.from_numpy(np.concatenate([prompts, continuation[:, :-1]], axis=1))
        with torch.inference_mode():
            logits = self._model(tokens, logits_to_keep=continuation.shape[1]).logits
        result: Logits = logits.float().numpy()
        return result

    def describe(self) -> dict[str, str]:
        return {
            "transformers": transformers.__version__,
            "torch": torch.__version__,
            "threads": str(self._threads),
            "dtype": self._dtype,
            "attention": str(self._model.config._attn_implementation),
        }


class _FirstToken(transformers.StoppingCriteria):  # type: ignore[misc]  # untyped base
    """Notes when the first token is there; transformers asks the criteria after each token. Never stops."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        if not self.at:
            self.at = time.perf_counter()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
