"""How tokens are chosen where a text service asks for more than greedy decoding. Numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Decoding:
    """`temperature` 0 is greedy decoding; above it tokens are drawn, by `seed`, from the whole vocabulary.

    `stop_ids`: token ids that end a sequence; a batch ends when all of its sequences have.
    """

    temperature: float = 0.0
    seed: int = 0
    stop_ids: tuple[int, ...] = ()


def choose(logits: NDArray[np.floating[Any]], temperature: float, random: np.random.Generator) -> NDArray[np.int64]:
    """A token for each row of `logits` [batch, vocab].

    The largest of logit / temperature + Gumbel noise is a draw from their softmax (Gumbel 1954), and needs none.
    """
    if temperature:
        logits = logits / temperature + random.gumbel(size=logits.shape)
    chosen: NDArray[np.int64] = logits.argmax(axis=-1)
    return chosen


def ended(tokens: NDArray[np.int64], stop_ids: Sequence[int]) -> NDArray[np.bool_]:
    """Of each row of `tokens` [batch, n] whether it holds a stop id."""
    found: NDArray[np.bool_] = np.any(np.isin(tokens, stop_ids), axis=-1)
    return found


def cut(tokens: NDArray[np.int64], stop_ids: Sequence[int]) -> NDArray[np.int64]:
    """`tokens` [batch, n] with -1 behind the first stop id of each row, which stays."""
    stops = np.isin(tokens, stop_ids)
    behind = (np.cumsum(stops, axis=-1) - stops) > 0
    return np.where(behind, -1, tokens)
