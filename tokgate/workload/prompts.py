"""Prompts of exact length, as token ids: nothing is tokenised while measuring, and no length is a guess."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tokgate.plan import Prompts

Tokens = NDArray[np.int64]

# The lowest ids of byte-level BPE vocabularies are single bytes and control tokens, the highest are special
# tokens (Qwen2.5 keeps 293 there): prompts are drawn from between.
_LOWEST_ID = 256
_HIGHEST_SHARE = 0.9
# What repetitive prompts say again and again: longer than what n-gram speculation looks for, shorter than a prompt.
_PHRASE_LEN = 16


def prompts_of(kind: Prompts, batch: int, prompt_len: int, vocab_size: int, seed: int) -> Tokens:
    """Prompts [batch, prompt_len] of that kind; of mixed ones the short are the beginnings of theirs."""
    makers = {
        "random": random_prompts,
        "mixed": random_prompts,
        "repetitive": repetitive_prompts,
        "shared": shared_prompts,
    }
    return makers[kind](batch, prompt_len, vocab_size, seed)


def repetitive_prompts(batch: int, prompt_len: int, vocab_size: int, seed: int) -> Tokens:
    """Each prompt one random phrase over and over: what a model is asked to summarise or to edit repeats itself."""
    phrases = random_prompts(batch, _PHRASE_LEN, vocab_size, seed)
    return np.tile(phrases, (1, -(-prompt_len // _PHRASE_LEN)))[:, :prompt_len]


def shared_prompts(batch: int, prompt_len: int, vocab_size: int, seed: int) -> Tokens:
    """Prompts that begin alike, as those of one application do: three quarters are the first one's."""
    prompts = random_prompts(batch, prompt_len, vocab_size, seed)
    common = 3 * prompt_len // 4
    prompts[:, :common] = prompts[0, :common]
    return prompts


def random_prompts(batch: int, prompt_len: int, vocab_size: int, seed: int) -> Tokens:
    """Token ids [batch, prompt_len], uniform over the ordinary tokens; the same for the same arguments."""
    lowest = min(_LOWEST_ID, vocab_size // 4)
    highest = max(lowest + 1, int(vocab_size * _HIGHEST_SHARE))
    return np.random.default_rng([seed, batch, prompt_len]).integers(lowest, highest, (batch, prompt_len))
