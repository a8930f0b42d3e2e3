"""Plain transformers: what people start from, and what the other engines are measured against."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
import transformers

from tokgate.engines import Generation, Logits, Tokens
from tokgate.engines.decoding import Decoding, cut

# INT8 is LLM.int8 of bitsandbytes: FP16, with the layers' weights in 8 bits.
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.float16}


class TransformersEngine:
    """`model.generate`, as its documentation shows it.

    Settings: `dtype`, one of "fp32", "bf16", "fp16" and, with bitsandbytes, "int8"; `device`, "cpu" or "cuda".
    """

    def __init__(self, model_dir: str, threads: int, settings: dict[str, Any]) -> None:
        unknown = set(settings) - {"dtype", "device"}
        if unknown:
            raise ValueError(f"transformers engine: unknown settings {sorted(unknown)}; known: device, dtype")
        self._dtype = str(settings.get("dtype", "fp32"))
        self._device = torch.device(settings.get("device", "cpu"))
        self._threads = threads
        torch.set_num_threads(threads)
        placed: dict[str, Any] = {}
        if self._dtype == "int8":
            placed["quantization_config"] = transformers.BitsAndBytesConfig(load_in_8bit=True)
            placed["device_map"] = {"": self._device}
        self._model = transformers.AutoModelForCausalLM.from_pretrained(
            model_dir,
            dtype=_DTYPES[self._dtype],
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            **placed,
        ).eval()
        if not placed and self._device.type != "cpu":
            self._model.to(self._device)
        # A hub's generation_config may ask for sampling or penalties; every engine here does the same greedy work.
        self._model.generation_config = transformers.GenerationConfig(pad_token_id=0, do_sample=False)

    def generate(self, prompts: Tokens, output_len: int, decoding: Decoding | None = None) -> Generation:
        clock = _FirstToken()
        lengths = {"min_new_tokens": output_len} if decoding is None else _choices(decoding)
        # Part of the work, as an engine that takes lists of numbers brings them to its device itself.
        started = time.perf_counter()
        inputs = torch.from_numpy(np.ascontiguousarray(prompts)).to(self._device)
        with torch.inference_mode():
            output = self._model.generate(
                inputs,
                attention_mask=torch.ones_like(inputs),
                max_new_tokens=output_len,
                streamer=None,
                stopping_criteria=transformers.StoppingCriteriaList([clock]),
                **lengths,
            )
        tokens = output[:, prompts.shape[1] :].cpu().numpy().astype(np.int64)  # waits for the device
        total_s = time.perf_counter() - started
        if decoding is not None:
            tokens = np.pad(tokens, ((0, 0), (0, output_len - tokens.shape[1])), constant_values=-1)
            tokens = cut(tokens, decoding.stop_ids)
        return Generation(tokens, clock.at - started, total_s)

    def forced_logits(self, prompts: Tokens, continuation: Tokens) -> Logits:
        tokens = torch.from_numpy(np.concatenate([prompts, continuation[:, :-1]], axis=1)).to(self._device)
        with torch.inference_mode():
            logits = self._model(tokens, logits_to_keep=continuation.shape[1]).logits
        result: Logits = logits.float().cpu().numpy()
        return result

    def describe(self) -> dict[str, str]:
        quantiser = {"bitsandbytes": version("bitsandbytes")} if self._dtype == "int8" else {}
        return {
            "transformers": transformers.__version__,
            "torch": torch.__version__,
            **quantiser,
            "threads": str(self._threads),
            "dtype": self._dtype,
            "device": str(self._device),
            "attention": str(self._model.config._attn_implementation),
        }


def _choices(decoding: Decoding) -> dict[str, Any]:
    """As arguments of `model.generate`; top_k would by itself be 50."""
    stops: dict[str, Any] = {"eos_token_id": list(decoding.stop_ids)} if decoding.stop_ids else {}
    if decoding.temperature == 0:
        return stops
    torch.manual_seed(decoding.seed)
    return {**stops, "do_sample": True, "temperature": decoding.temperature, "top_k": 0}


class _FirstToken(transformers.StoppingCriteria):  # type: ignore[misc]  # untyped base
    """Notes when the first token is there; transformers asks the criteria after each token. Never stops."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        if not self.at:
            if input_ids.is_cuda:
                torch.cuda.synchronize()
            self.at = time.perf_counter()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
