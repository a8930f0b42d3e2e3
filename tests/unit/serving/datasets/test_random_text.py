from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.serving.datasets.tokenizers import Joining, Words
from tokgate.errors import InputError
from tokgate.serving.datasets.random_text import Shape, range_ratios, samples

pytestmark = pytest.mark.unit


@given(st.integers(1, 60), st.integers(0, 20), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_every_prompt_has_exactly_the_tokens_asked_for(
    input_len: int, prefix_len: int, special: int, seed: int
) -> None:
    """As a server counts them: with the special tokens that it adds."""
    shape = Shape(input_len=input_len + special, output_len=7, prefix_len=prefix_len)
    tokenizer = Words(special)
    for sample in samples(tokenizer, 3, shape, seed):
        assert len(tokenizer.encode(sample.prompt)) == sample.prompt_len == prefix_len + input_len + special
        assert sample.output_len == 7


@given(st.integers(2, 80), st.integers(0, 1000))
def test_lengths_are_hit_where_text_splits_otherwise_than_it_was_joined(input_len: int, seed: int) -> None:
    tokenizer = Joining()
    for sample in samples(tokenizer, 2, Shape(input_len=input_len), seed):
        assert len(tokenizer.encode(sample.prompt)) == sample.prompt_len == input_len


def test_the_seed_decides_the_prompts() -> None:
    first, again, other = (samples(Words(), 20, Shape(30, 5, input_ratio=0.5), seed) for seed in (1, 1, 2))
    assert first == again != other


def test_no_special_token_is_drawn() -> None:
    found = [sample.prompt for sample in samples(Words(), 40, Shape(30), seed=0)]
    assert not {0, 1, 2, 3} & {token for text in found for token in Words().encode(text)}


def test_a_prefix_is_common_to_all_and_the_rest_is_not() -> None:
    found = [sample.prompt.split() for sample in samples(Words(), 10, Shape(input_len=8, prefix_len=5), seed=0)]
    assert len({tuple(words[:5]) for words in found}) == 1
    assert len({tuple(words[5:]) for words in found}) == 10


@given(st.floats(0, 0.99), st.floats(0, 0.99))
def test_lengths_vary_by_their_own_ratios(input_ratio: float, output_ratio: float) -> None:
    shape = Shape(input_len=100, output_len=50, input_ratio=input_ratio, output_ratio=output_ratio)
    for sample in samples(Words(), 5, shape, seed=3):
        assert 100 * (1 - input_ratio) - 1 <= sample.prompt_len <= 100 * (1 + input_ratio) + 1
        assert max(1, 50 * (1 - output_ratio) - 1) <= sample.output_len <= 50 * (1 + output_ratio) + 1


def test_prompts_that_may_be_empty_are_refused() -> None:
    with pytest.raises(InputError, match="--random-input-len 2: with 2 special tokens"):
        samples(Words(special=2), 1, Shape(input_len=2), seed=0)
    assert samples(Words(special=2), 1, Shape(input_len=2, prefix_len=1), seed=0)[0].prompt_len == 3


@pytest.mark.parametrize(
    ("text", "ratios"), [("0.0", (0, 0)), ("0.3", (0.3, 0.3)), ('{"input": 0.3, "output": 0.5}', (0.3, 0.5))]
)
def test_one_ratio_or_two_can_be_given(text: str, ratios: tuple[float, float]) -> None:
    assert range_ratios(text) == ratios


@pytest.mark.parametrize("text", ["1", "-0.1", "x", '{"input": 0.1}', "[0.1]", "NaN", "null"])
def test_other_ratios_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected a number from 0 to below 1"):
        range_ratios(text)
