"""--dataset-name prefix_repetition: few prefixes, each with many suffixes, as prefix caching likes it."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from tokgate.errors import InputError
from tokgate.serving.datasets.sample import Sample
from tokgate.serving.datasets.tokenizer import Tokenizer, fitted


@dataclass(frozen=True)
class Shape:
    """Lengths in tokens, without the special ones that a server adds."""

    prefix_len: int = 256
    suffix_len: int = 256
    prefixes: int = 10
    output_len: int = 128


def samples(tokenizer: Tokenizer, count: int, shape: Shape, seed: int, shuffle: bool = True) -> list[Sample]:
    """As many prompts of each prefix as `count` allows, so at most `count`; the same for the same arguments.

    Prefix and suffix are exact; where they meet a tokenizer may join two tokens, and `prompt_len` says what came of it.
    Raises InputError for more prefixes than prompts.
    """
    if not 1 <= shape.prefixes <= count:
        raise InputError(
            f"--prefix-repetition-num-prefixes {shape.prefixes}: expected from 1 up to --num-prompts, which is {count}"
        )
    rng = np.random.RandomState(seed)

    def exact(length: int) -> list[int]:
        drawn = rng.randint(0, tokenizer.vocab_size, size=length).tolist()
        _, ids = fitted(tokenizer, drawn, length, lambda missing: rng.randint(0, tokenizer.vocab_size, size=missing))
        return ids

    found = []
    for _ in range(shape.prefixes):
        prefix = exact(shape.prefix_len)
        for _ in range(count // shape.prefixes):
            text = tokenizer.decode([*prefix, *exact(shape.suffix_len)])
            found.append(Sample(text, len(tokenizer.encode(text)), shape.output_len))
    if shuffle:
        random.Random(seed).shuffle(found)
    return found
