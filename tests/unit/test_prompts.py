"""Prompts of exact length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.workload.prompts import random_prompts

pytestmark = pytest.mark.unit


@given(st.integers(1, 16), st.integers(1, 600), st.integers(64, 200_000), st.integers(0, 2**31))
def test_lengths_are_exact_and_ids_are_tokens(batch: int, prompt_len: int, vocab_size: int, seed: int) -> None:
    prompts = random_prompts(batch, prompt_len, vocab_size, seed)
    assert prompts.shape == (batch, prompt_len)
    assert prompts.dtype == np.int64
    assert 0 <= prompts.min() <= prompts.max() < vocab_size


def test_the_same_seed_is_the_same_work() -> None:
    assert (random_prompts(4, 128, 2000, 7) == random_prompts(4, 128, 2000, 7)).all()
    assert (random_prompts(4, 128, 2000, 7) != random_prompts(4, 128, 2000, 8)).any()
