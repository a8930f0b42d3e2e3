"""The FP32 reference by plain transformers, and how far a graph is from it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tokgate import accuracy, engines
from tokgate.errors import MeasurementError
from tokgate.workload.prompts import random_prompts

_PROMPTS, _PROMPT_LEN, _STEPS, _SEED = 4, 16, 12, 0
# FP32 sums in another order differ by 1e-5 (seen: 7e-6); a wrong graph by whole logits.
MAX_LOGIT_DIFF = 1e-2


def write(emit: Callable[[dict[str, Any]], None], checkpoint: str, out: str) -> dict[str, Any]:
    """A step of a build: greedy continuations of random prompts, with their logits."""
    emit({"event": "step", "name": "reference", "detail": "greedy decoding by transformers in FP32"})
    engine = engines.load("transformers", checkpoint, _threads(), {"dtype": "fp32"})
    prompts = random_prompts(_PROMPTS, _PROMPT_LEN, _vocab_size(checkpoint), _SEED)
    continuation = engine.generate(prompts, _STEPS).tokens
    logits = engine.forced_logits(prompts, continuation)
    assert not isinstance(logits, accuracy.TopLogprobs), "transformers gives every logit"
    accuracy.Reference(prompts, continuation, logits).save(Path(out))
    return {"reference": f"transformers fp32, {_PROMPTS} prompts of {_PROMPT_LEN} tokens, {_STEPS} steps"}


def check(emit: Callable[[dict[str, Any]], None], folder: str, exact: bool, engine: str = "onnx") -> dict[str, Any]:
    """A step of a build: how far the graph in `folder`, run by `engine`, is from the reference there.

    Raises MeasurementError if it must be `exact` and is not.
    """
    reference = accuracy.Reference.load(Path(folder))
    loaded = engines.load(engine, folder, _threads(), {})
    logits = loaded.forced_logits(reference.prompts, reference.continuation)
    distance = accuracy.compare(reference.logits, logits)
    emit(
        {
            "event": "step",
            "name": "check",
            "detail": f"max logit difference to transformers {distance.max_logit_diff:.1e}, "
            f"top-1 agreement {distance.top1_agreement:.0%}",
        }
    )
    if exact and distance.max_logit_diff > MAX_LOGIT_DIFF:
        raise MeasurementError(
            f"the exported graph computes something else: its logits differ from transformers' by up to "
            f"{distance.max_logit_diff:.3g}; expected at most {MAX_LOGIT_DIFF}"
        )
    return asdict(distance)


def _vocab_size(checkpoint: str) -> int:
    return int(json.loads((Path(checkpoint) / "config.json").read_text())["vocab_size"])


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
