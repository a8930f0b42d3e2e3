"""Prompts of exact length, as token ids: nothing is tokenised while measuring, and no length is a guess."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The lowest ids of byte-level BPE vocabularies are single bytes and control tokens, the highest are special
# tokens (Qwen2.5 keeps 293 there): prompts are drawn from between.
_LOWEST_ID = 256
_HIGHEST_SHARE = 0.9


def random_prompts(batch: int, prompt_len: int, vocab_size: int, seed: int) -> NDArray[np.int64]:
    """Token ids [batch, prompt_len], uniform over the ordinary tokens; the same for the same arguments."""
    lowest = min(_LOWEST_ID, vocab_size // 4)
    highest = max(lowest + 1, int(vocab_size * _HIGHEST_SHARE))
    return np.random.default_rng([seed, batch, prompt_len]).integers(lowest, highest, (batch, prompt_len))
