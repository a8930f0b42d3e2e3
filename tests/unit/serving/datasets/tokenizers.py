"""Tokenizers without transformers: one that splits texts at blanks, and one that makes lengths hard to hit."""

from __future__ import annotations

from typing import Any


class Words:
    """Token n is the word `wn`; ids 0 to 3 are special, and `special` of them are added to a prompt."""

    vocab_size = 100
    all_special_ids = (0, 1, 2, 3)

    def __init__(self, special: int = 0, template: bool = True) -> None:
        self._special = special
        self._template = template

    def num_special_tokens_to_add(self) -> int:
        return self._special

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        added = list(range(self._special)) if add_special_tokens else []
        return [*added, *(int(word[1:]) if word[:1] == "w" else 99 for word in text.split())]

    def decode(self, ids: list[int]) -> str:
        return " ".join(f"w{token}" for token in ids)

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> str:
        if not self._template:
            raise ValueError("chat_template is not set\nmore of it")
        assert options["add_generation_prompt"]
        assert not options["tokenize"]
        return f"w90 {conversation[0]['content']} w91"


class Joining(Words):
    """Joins each pair of equal neighbours, and splits each multiple of 5 in two: lengths change both ways."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        found: list[int] = []
        for token in super().encode(text, add_special_tokens=add_special_tokens):
            if found and found[-1] == token:
                continue
            found += [token, 4] if token % 5 == 0 else [token]
        return found
