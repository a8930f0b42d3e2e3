"""Texts of an exact number of tokens, for endpoints that take no token ids."""

from __future__ import annotations

from typing import Protocol

import numpy as np

_TRIES = 100


class Encoder(Protocol):
    """What is used of a Codec."""

    @property
    def vocab_size(self) -> int: ...

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: list[int]) -> str: ...


def texts_of(codec: Encoder, length: int, count: int, seed: int) -> list[str]:
    """`count` texts that encode to `length` tokens each, begun with different ones.

    Tokens that are decoded need not encode to as many again: what is too long is cut, what is too short lengthened.
    Raises ValueError where a tokenizer makes no text of that length in 100 tries.
    """
    random = np.random.default_rng(seed)
    return [_text(codec, length, random) for _ in range(count)]


def _text(codec: Encoder, length: int, random: np.random.Generator) -> str:
    ids: list[int] = []
    for _ in range(_TRIES):
        drawn = random.integers(0, codec.vocab_size, max(0, length - len(ids)))
        text = codec.decode([*ids, *map(int, drawn)][:length])
        ids = codec.encode(text)
        if len(ids) == length:
            return text
        if len(ids) > length:
            # Some more than needed: a cut inside of a character may else make as many again for ever.
            ids = ids[: length - int(random.integers(0, min(length, 8)))]
    raise ValueError(f"no text of {length} tokens in {_TRIES} tries; expected a tokenizer of texts")
