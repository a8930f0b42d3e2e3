"""Prompts of exact length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.workload.prompts import prompts_of, random_prompts

pytestmark = pytest.mark.unit


@given(
    st.sampled_from(["random", "repetitive"]),
    st.integers(1, 16),
    st.integers(1, 600),
    st.integers(64, 200_000),
    st.integers(0, 2**31),
)
def test_lengths_are_exact_and_ids_are_tokens(
    kind: Any, batch: int, prompt_len: int, vocab_size: int, seed: int
) -> None:
    prompts = prompts_of(kind, batch, prompt_len, vocab_size, seed)
    assert prompts.shape == (batch, prompt_len)
    assert prompts.dtype == np.int64
    assert 0 <= prompts.min() <= prompts.max() < vocab_size


def test_the_same_seed_is_the_same_work() -> None:
    assert (random_prompts(4, 128, 2000, 7) == random_prompts(4, 128, 2000, 7)).all()
    assert (random_prompts(4, 128, 2000, 7) != random_prompts(4, 128, 2000, 8)).any()


def test_repetitive_prompts_repeat_a_phrase_of_their_own() -> None:
    prompts = prompts_of("repetitive", 2, 40, 2000, 7)
    assert (prompts[:, :16] == prompts[:, 16:32]).all()
    assert (prompts[:, :8] == prompts[:, 32:]).all()
    assert (prompts[0] != prompts[1]).any()
