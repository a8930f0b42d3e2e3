"""Texts of an exact number of tokens."""

from __future__ import annotations

from random import Random

import pytest

from tokgate.serving.users.texts import Texts

pytestmark = pytest.mark.unit


class Merging:
    """Its tokens are letters, but "ab" is one: what is decoded may encode to fewer tokens."""

    vocab_size = 4
    _words = ("a", "b", "c", "ab")

    def encode(self, text: str) -> list[int]:
        ids, place = [], 0
        while place < len(text):
            word = "ab" if text.startswith("ab", place) else text[place]
            ids.append(self._words.index(word))
            place += len(word)
        return ids

    def decode(self, ids: list[int]) -> str:
        return "".join(self._words[token] for token in ids)


@pytest.mark.parametrize("length", [1, 2, 7, 40])
def test_every_text_has_its_length_and_they_differ(length: int) -> None:
    codec = Merging()
    random = Random(1)
    texts = [Texts(codec, length).draw(random) for _ in range(20)]
    assert [len(codec.encode(text)) for text in texts] == [length] * 20
    assert len(set(texts)) > 1


def test_a_tokenizer_that_makes_no_text_is_given_up() -> None:
    class Mute(Merging):
        def decode(self, ids: list[int]) -> str:
            return ""

    with pytest.raises(ValueError, match="no text of 3 tokens in 100 tries"):
        Texts(Mute(), 3).draw(Random(1))
