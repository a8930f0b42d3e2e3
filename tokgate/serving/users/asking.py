"""What a user sends: bodies for the three endpoints, of prompts that no user sent before. Pure."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

from tokgate.plan import Api
from tokgate.serving.request import Request
from tokgate.serving.users.texts import Texts

PATHS: dict[Api, str] = {"completions": "/v1/completions", "chat": "/v1/chat/completions", "generate": "/generate"}
# Common words, of which nearly every tokenizer makes a token each.
_WORDS = (
    *("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state"),
    *("family", "student", "group", "country", "problem", "hand", "part", "place", "case", "week", "company"),
    *("system", "question", "work", "number", "night", "point", "home", "water", "room", "mother", "area", "money"),
    *("story", "fact", "month", "lot", "right", "study", "book", "eye", "job", "word", "business", "issue", "side"),
)


@dataclass(frozen=True)
class Asking:
    """How requests are made. `model` "" names none; `exact`: whether servers are told to ignore the end of text."""

    api: Api
    stream: bool
    output_tokens: int
    model: str = ""
    temperature: float = 0.0
    exact: bool = True

    @property
    def path(self) -> str:
        return PATHS[self.api]

    def request(self, prompt: str | list[int], prompt_tokens: int) -> Request:
        """`prompt_tokens` 0: nobody counted."""
        fields = self._generate(prompt) if self.api == "generate" else self._openai(prompt)
        body = json.dumps(fields, separators=(",", ":")).encode()
        return Request(body, prompt_tokens, self.output_tokens, self.exact, self.stream)

    def _generate(self, prompt: str | list[int]) -> dict[str, object]:
        parameters: dict[str, object] = {"temperature": self.temperature, "max_steps": self.output_tokens}
        return {"prompt": prompt, "parameters": {**parameters, **({"ignore_eos": True} if self.exact else {})}}

    def _openai(self, prompt: str | list[int]) -> dict[str, object]:
        asked: dict[str, object] = {"model": self.model} if self.model else {}
        asked |= {"messages": [{"role": "user", "content": prompt}]} if self.api == "chat" else {"prompt": prompt}
        asked |= {"max_tokens": self.output_tokens, "temperature": self.temperature}
        if self.exact:
            asked["ignore_eos"] = True
        if self.stream:
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
        return asked


class Prompts:
    """Another prompt each time: `length` token ids below `vocab_size`, or, where that is 0, as many common words.

    `texts`: of those instead. Servers keep what they computed of a prompt, so none should come twice.
    """

    def __init__(self, length: int, vocab_size: int, seed: str, texts: Texts | None = None) -> None:
        self._length = length
        self._vocab_size = vocab_size
        self._texts = texts
        self._random = random.Random(seed)

    def next(self) -> tuple[str | list[int], int]:
        """A prompt, and its tokens; 0 where those are not known."""
        if self._texts is not None:
            return self._texts.draw(self._random), self._texts.length
        if self._vocab_size:
            return self._random.choices(range(self._vocab_size), k=self._length), self._length
        return " ".join(self._random.choices(_WORDS, k=self._length)), 0
