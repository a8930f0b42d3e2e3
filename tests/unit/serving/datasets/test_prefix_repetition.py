from __future__ import annotations

import pytest

from tests.unit.serving.datasets.tokenizers import Joining, Words
from tokgate.errors import InputError
from tokgate.serving.datasets.prefix_repetition import Shape, samples

pytestmark = pytest.mark.unit


def test_each_prefix_is_used_equally_often_with_another_suffix() -> None:
    found = samples(Words(), 11, Shape(prefix_len=6, suffix_len=9, prefixes=4, output_len=3), seed=0)
    prefixes = [tuple(sample.prompt.split()[:6]) for sample in found]
    assert sorted(map(prefixes.count, set(prefixes))) == [2, 2, 2, 2]
    assert len({sample.prompt for sample in found}) == 8
    assert {(sample.prompt_len, sample.output_len) for sample in found} == {(15, 3)}


def test_prompts_of_a_prefix_are_not_in_a_row_but_where_told() -> None:
    shape = Shape(prefix_len=6, suffix_len=9, prefixes=4)
    shuffled, plain = (samples(Words(), 40, shape, 0, shuffle) for shuffle in (True, False))
    assert sorted(shuffled, key=lambda sample: sample.prompt) == sorted(plain, key=lambda sample: sample.prompt)
    assert shuffled != plain
    assert len({sample.prompt.split()[0] for sample in plain[:10]}) == 1


def test_the_length_said_is_the_one_that_a_server_counts() -> None:
    """Where prefix and suffix meet, tokens may join."""
    tokenizer = Joining(special=1)
    for sample in samples(tokenizer, 30, Shape(prefix_len=5, suffix_len=5, prefixes=3), seed=1):
        assert sample.prompt_len == len(tokenizer.encode(sample.prompt))


def test_more_prefixes_than_prompts_are_refused() -> None:
    with pytest.raises(InputError, match="--prefix-repetition-num-prefixes 10: expected from 1 up to --num-prompts"):
        samples(Words(), 9, Shape(), seed=0)
