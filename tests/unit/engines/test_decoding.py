"""How tokens are chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from tokgate.engines.decoding import choose, cut, ended

pytestmark = pytest.mark.unit

TOKENS = st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=1, max_size=3)


def test_without_temperature_the_largest_is_taken() -> None:
    logits = np.array([[1.0, 3.0, 2.0], [5.0, 4.0, 0.0]], np.float32)
    assert choose(logits, 0.0, np.random.default_rng(0)).tolist() == [1, 0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax_of_logits_over_temperature(temperature: float) -> None:
    logits = np.array([0.0, 1.0, 2.0, -1.0], np.float32)
    expected = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    drawn = choose(np.tile(logits, (20_000, 1)), temperature, np.random.default_rng(1))
    counts = np.bincount(drawn, minlength=4)
    assert chisquare(counts, expected.astype(float) / expected.sum(dtype=float) * counts.sum()).pvalue > 1e-3


@given(TOKENS, st.lists(st.integers(0, 5), max_size=3))
def test_behind_the_first_stop_there_is_nothing(rows: list[list[int]], stops: list[int]) -> None:
    tokens = np.array(rows, np.int64)
    for row, before in zip(cut(tokens, stops).tolist(), rows, strict=True):
        first = next((place for place, token in enumerate(before) if token in stops), len(before))
        assert row == before[: first + 1] + [-1] * (len(before) - first - 1)


@given(TOKENS, st.lists(st.integers(0, 5), max_size=3))
def test_a_row_has_ended_where_it_holds_a_stop(rows: list[list[int]], stops: list[int]) -> None:
    assert ended(np.array(rows, np.int64), stops).tolist() == [bool(set(row) & set(stops)) for row in rows]
