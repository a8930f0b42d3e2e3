"""Texts of an exact number of tokens, for endpoints that take no token ids."""

from __future__ import annotations

from random import Random
from typing import Protocol

_TRIES = 100


class Encoder(Protocol):
    """What is used of a Codec."""

    @property
    def vocab_size(self) -> int: ...

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: list[int]) -> str: ...


class Texts:
    """Draws texts that encode to `length` tokens each. `codec` is asked once how many tokens it has: that is slow."""

    def __init__(self, codec: Encoder, length: int) -> None:
        self.length = length
        self._codec = codec
        self._ids = range(codec.vocab_size)

    def draw(self, random: Random) -> str:
        """Raises ValueError where the tokenizer makes no text of that length in 100 tries.

        Tokens that are decoded need not encode to as many again: what is too long is cut, what is too short lengthened.
        """
        ids: list[int] = []
        for _ in range(_TRIES):
            drawn = random.choices(self._ids, k=max(0, self.length - len(ids)))
            text = self._codec.decode([*ids, *drawn][: self.length])
            ids = self._codec.encode(text)
            if len(ids) == self.length:
                return text
            if len(ids) > self.length:
                # Some more than needed: a cut inside of a character may else make as many again for ever.
                ids = ids[: self.length - random.randrange(min(self.length, 8))]
        raise ValueError(f"no text of {self.length} tokens in {_TRIES} tries; expected a tokenizer of texts")
