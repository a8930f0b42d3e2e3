"""A prompt and its lengths, and how a dataset that is too small is stretched."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tokgate.errors import InputError


@dataclass(frozen=True)
class Sample:
    """`prompt_len`: tokens that a server counts for the prompt, its special ones too, 0 where nobody counted;
    `output_len`: tokens asked for."""

    prompt: str
    prompt_len: int
    output_len: int


def stretched(samples: Sequence[Sample], count: int, seed: int, oversample: bool, source: str) -> list[Sample]:
    """`count` samples: those there are, then ones drawn from them again, unless told not to.

    Raises InputError where there is none to draw from.
    """
    if not samples:
        raise InputError(f"{source}: no usable prompt there; expected at least one whose lengths are in bounds")
    missing = count - len(samples) if oversample else 0
    draw = random.Random(seed)
    return [*samples, *(draw.choice(samples) for _ in range(missing))]
