"""How far logits are from a reference on the same weights. numpy alone: workers use it too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE_NAME = "reference.npz"


@dataclass(frozen=True)
class Reference:
    """Greedy continuations by the FP32 reference, with the logits that chose them.

    `prompts` [n, prompt_len] and `continuation` [n, steps] are token ids, `logits` [n, steps, vocab] float32.
    """

    prompts: NDArray[np.int64]
    continuation: NDArray[np.int64]
    logits: NDArray[np.float32]

    def save(self, folder: Path) -> None:
        np.savez(folder / FILE_NAME, prompts=self.prompts, continuation=self.continuation, logits=self.logits)

    @classmethod
    def load(cls, folder: Path) -> Reference:
        with np.load(folder / FILE_NAME) as data:
            return cls(data["prompts"], data["continuation"], data["logits"])


@dataclass(frozen=True)
class Distance:
    """`top1_agreement` 0 to 1; `logit_distance` relative RMS; `max_logit_diff` in logits."""

    positions: int
    top1_agreement: float
    logit_distance: float
    max_logit_diff: float


@dataclass(frozen=True)
class TopLogprobs:
    """The k largest log-probabilities of each position, largest first: `tokens` and `values` [n, steps, k]."""

    tokens: NDArray[np.int64]
    values: NDArray[np.float32]


def compare(reference: NDArray[np.float32], logits: NDArray[np.float32] | TopLogprobs) -> Distance:
    """Compares logits [n, steps, vocab], or the largest of them, with the reference's.

    Raises ValueError if shapes differ or a logit is not finite.
    """
    if isinstance(logits, TopLogprobs):
        return _compare_top(reference, logits)
    if reference.shape != logits.shape:
        raise ValueError(f"logits have shape {logits.shape}, the reference {reference.shape}")
    if not np.isfinite(logits).all():
        raise ValueError("the engine returned logits that are not finite")
    difference = logits.astype(np.float64) - reference
    centred = reference.astype(np.float64) - reference.mean(axis=-1, keepdims=True, dtype=np.float64)
    return Distance(
        positions=int(np.prod(reference.shape[:-1])),
        top1_agreement=float((reference.argmax(-1) == logits.argmax(-1)).mean()),
        logit_distance=float(np.sqrt((difference**2).mean() / (centred**2).mean())),
        max_logit_diff=float(np.abs(difference).max()),
    )


def _compare_top(reference: NDArray[np.float32], top: TopLogprobs) -> Distance:
    """At the engine's own largest tokens; log-probabilities are logits up to a constant of the position."""
    if reference.shape[:-1] != top.tokens.shape[:-1]:
        raise ValueError(f"log-probabilities have shape {top.tokens.shape}, the reference {reference.shape}")
    if not np.isfinite(top.values).all():
        raise ValueError("the engine returned log-probabilities that are not finite")
    logits = reference.astype(np.float64)
    centred = logits - logits.mean(axis=-1, keepdims=True)
    largest = logits.max(axis=-1, keepdims=True)
    logprobs = logits - largest - np.log(np.exp(logits - largest).sum(axis=-1, keepdims=True))
    difference = top.values - np.take_along_axis(logprobs, top.tokens, axis=-1)
    return Distance(
        positions=int(np.prod(reference.shape[:-1])),
        top1_agreement=float((reference.argmax(-1) == top.tokens[..., 0]).mean()),
        logit_distance=float(np.sqrt((difference**2).mean() / (centred**2).mean())),
        max_logit_diff=float(np.abs(difference).max()),
    )
