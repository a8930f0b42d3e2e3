"""An engine that is asked in texts: requests of one shape are one batch of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tokgate.engines import Engine
from tokgate.engines.decoding import Decoding


@dataclass(frozen=True)
class Ask:
    """One request, within the limits. `max_steps`: output tokens at most, and exactly with `ignore_eos`."""

    prompt: tuple[int, ...]
    max_steps: int
    temperature: float = 0.0
    ignore_eos: bool = False

    @property
    def shape(self) -> tuple[object, ...]:
        """What requests must have in common to be one batch.

        Prompts of one length need no padding: nothing of one sequence can then leak into another, whatever the
        engine makes of masks and positions. Of several lengths of output the longest is made, and each is cut.
        """
        return len(self.prompt), self.temperature, self.ignore_eos


@dataclass(frozen=True)
class Answer:
    """`output_tokens` counts the end of sequence too, where the model said it. Seconds are the whole batch's."""

    text: str
    prompt_tokens: int
    output_tokens: int
    prefill_s: float
    total_s: float
    batch: int


class TextCodec(Protocol):
    """What is used of a Codec."""

    @property
    def stop_ids(self) -> tuple[int, ...]: ...

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: list[int]) -> str: ...


class TextModel:
    """`draw_seed` gives the seed of each batch that is sampled."""

    def __init__(
        self, engine: Engine, codec: TextCodec, draw_seed: Callable[[], int] = lambda: random.getrandbits(31)
    ) -> None:
        self.engine = engine
        self.codec = codec
        self._draw_seed = draw_seed

    def answer(self, asks: Sequence[Ask]) -> list[Answer]:
        """The answers of `asks`, all of one shape, in their order."""
        first = asks[0]
        assert all(ask.shape == first.shape for ask in asks), "one batch has one shape"
        stop_ids = () if first.ignore_eos else self.codec.stop_ids
        decoding = Decoding(first.temperature, self._draw_seed() if first.temperature else 0, stop_ids)
        # Greedy to the end is what the engines are measured at.
        plain = first.temperature == 0 and not stop_ids
        made = self.engine.generate(
            np.array([ask.prompt for ask in asks], np.int64),
            max(ask.max_steps for ask in asks),
            None if plain else decoding,
        )
        answers = []
        for ask, row in zip(asks, made.tokens, strict=True):
            ids = [int(token) for token in row[: ask.max_steps] if token >= 0]
            text = self.codec.decode([token for token in ids if token not in stop_ids])
            answers.append(Answer(text, len(ask.prompt), len(ids), made.prefill_s, made.total_s, len(asks)))
        return answers
