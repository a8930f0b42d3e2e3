"""What a /generate service is told when it starts, as data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

DEFAULT_STEPS = 100
# Greedy, or far enough from it that logits divided by it stay finite.
LEAST_TEMPERATURE = 0.01
MOST_TEMPERATURE = 2.0


@dataclass(frozen=True)
class Limits:
    """What one request may ask for. `context_len`: prompt and output tokens together."""

    context_len: int
    prompt_tokens: int
    steps: int
    body_bytes: int = 1 << 20


@dataclass(frozen=True)
class ServiceSettings:
    """`settings` and `threads` are the engine's. `precision` is only told, not chosen, by it.

    `batch`: how many requests at most are generated at once; one that could be joined by others waits `window_s` for
    them. `queue`: how many may wait. `grace_s`: how long requests may take to end when the service is told to.
    """

    engine: str
    model_dir: str
    tokenizer_dir: str
    limits: Limits
    model: str = "model"
    precision: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    threads: int = 1
    host: str = "127.0.0.1"
    port: int = 8000
    batch: int = 1
    window_s: float = 0.02
    queue: int = 64
    grace_s: float = 30.0

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> ServiceSettings:
        """From what `to_json` gave."""
        data = json.loads(text)
        return cls(**{**data, "limits": Limits(**data["limits"])})


def batch_fault(engine: str, precision: str, batch: int) -> str | None:
    """Why requests cannot be batched there; None where they can.

    A request's answer must not depend on its neighbours. ONNX Runtime's dynamic INT8 scales the activations of a whole
    batch by one factor (DynamicQuantizeLinear), so there it would.
    """
    if batch > 1 and (engine, precision) == ("onnx", "int8"):
        return (
            "INT8 on ONNX Runtime scales the activations of a batch by one factor, so that a request's answer would "
            f"depend on the others: batch is {batch}, expected 1; or batch in FP32"
        )
    return None
