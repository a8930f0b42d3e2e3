"""--dataset-name random: prompts of exact length that mean nothing.

Two of N prompts are the same with a chance of about N * N / 2 in the vocabulary's size, as with vLLM: a prefix cache
helps where a vocabulary is tiny.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np

from tokgate.errors import InputError
from tokgate.serving.datasets.sample import Sample
from tokgate.serving.datasets.tokenizer import Tokenizer, fitted


@dataclass(frozen=True)
class Shape:
    """Lengths in tokens. Prompts and outputs are uniform in length * (1 -+ their ratio), both ends included.

    A server adds special tokens to a prompt, so `input_len` counts them; a prefix of `prefix_len` tokens, the same for
    all prompts, comes on top. Ratios are from 0 up to below 1.
    """

    input_len: int = 1024
    output_len: int = 128
    prefix_len: int = 0
    input_ratio: float = 0.0
    output_ratio: float = 0.0


def range_ratios(text: str) -> tuple[float, float]:
    """Those of inputs and of outputs: one number for both, or {"input": x, "output": y}. Raises InputError."""
    expected = f"--random-range-ratio {text!r}: expected a number from 0 to below 1, or a JSON object of two"
    try:
        value = json.loads(text)
        ratios = (value["input"], value["output"]) if isinstance(value, dict) else (value, value)
        pair = float(ratios[0]), float(ratios[1])
    except (ValueError, TypeError, KeyError):
        raise InputError(f'{expected}, {{"input": 0.3, "output": 0.5}}') from None
    if not all(0 <= ratio < 1 for ratio in pair):
        raise InputError(f'{expected}, {{"input": 0.3, "output": 0.5}}')
    return pair


def samples(tokenizer: Tokenizer, count: int, shape: Shape, seed: int) -> list[Sample]:
    """`count` prompts; the same for the same arguments. Raises InputError for a shape that allows empty prompts.

    A prompt is ids that follow one another from an offset drawn for it, as vLLM draws them.
    """
    rng = np.random.default_rng(seed)
    special = tokenizer.num_special_tokens_to_add()
    own_len = max(0, shape.input_len - special)
    if shape.prefix_len + math.floor(own_len * (1 - shape.input_ratio)) < 1:
        raise InputError(
            f"--random-input-len {shape.input_len}: with {special} special tokens and a range ratio of "
            f"{shape.input_ratio:g} a prompt may be empty; expected a larger length, a prefix, or a smaller ratio"
        )
    input_lens = rng.integers(*_bounds(own_len, shape.input_ratio, least=0), size=count)
    output_lens = rng.integers(*_bounds(shape.output_len, shape.output_ratio, least=1), size=count)
    offsets = rng.integers(0, tokenizer.vocab_size, size=count)
    ordinary = np.setdiff1d(np.arange(tokenizer.vocab_size), tokenizer.all_special_ids)

    def fit(ids: list[int], length: int) -> tuple[str, list[int]]:
        return fitted(tokenizer, ids, length, lambda missing: rng.integers(0, tokenizer.vocab_size, size=missing))

    prefix: list[int] = []
    if shape.prefix_len:
        drawn = ordinary[rng.integers(0, len(ordinary), size=shape.prefix_len)]
        _, prefix = fit(drawn.tolist(), shape.prefix_len)
    found = []
    for number in range(count):
        places = offsets[number] + number + np.arange(input_lens[number])
        ids = ordinary[places % len(ordinary)].tolist()
        text, ids = fit([*prefix, *ids], shape.prefix_len + int(input_lens[number]))
        found.append(Sample(text, len(ids) + special, int(output_lens[number])))
    return found


def _bounds(length: int, ratio: float, least: int) -> tuple[int, int]:
    """The lowest length and the first that is too high."""
    return max(least, math.floor(length * (1 - ratio))), max(least, math.ceil(length * (1 + ratio))) + 1
