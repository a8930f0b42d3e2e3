"""What users are told: options of the locust command, of its form on the web too."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from tokgate.serving.remote import target_of
from tokgate.serving.request import Target


@dataclass(frozen=True)
class UserOptions:
    """`think_s`: the least and the most seconds between an answer and the next request. `vocab_size` 0: prompts are
    texts, of exactly so many tokens where `tokenizer` is the folder of one. `prompt_seed` "": others every time."""

    output_tokens: int
    prompt_tokens: int
    vocab_size: int
    tokenizer: str
    prompt_seed: str
    model: str
    temperature: float
    exact: bool
    think_s: tuple[float, float]
    timeout_s: float
    key_env: str

    @classmethod
    def of(cls, parsed: Any) -> UserOptions:
        """From what Locust parsed. Raises ValueError."""
        least_s, _, most_s = str(parsed.think).partition(":")
        return cls(
            output_tokens=int(parsed.output_tokens),
            prompt_tokens=int(parsed.prompt_tokens),
            vocab_size=int(parsed.vocab_size),
            tokenizer=parsed.tokenizer or "",
            prompt_seed=parsed.prompt_seed or "",
            model=parsed.served_model or "",
            temperature=float(parsed.temperature),
            exact=not parsed.until_eos,
            think_s=(float(least_s), float(most_s or least_s)),
            timeout_s=float(parsed.request_timeout),
            key_env=parsed.api_key_env or "",
        )

    def target(self, host: str, path: str) -> Target:
        """Raises InputError for what is no URL, or a key that is not there."""
        return target_of(host, path, self.key_env, os.environ)


def add_options(parser: Any) -> None:
    """Adds them to Locust's own, those of a test to its page too. `parser` is a LocustArgumentParser."""
    add = parser.add_argument
    add("--output-tokens", type=int, default=100, metavar="N", help="tokgate: asked for (default: 100)")
    add("--prompt-tokens", type=int, default=32, metavar="N", help="tokgate: or words (default: 32)")
    add("--vocab-size", type=int, default=0, metavar="N", help="tokgate: prompts of token ids below N, 0: of words")
    add("--served-model", default="", metavar="NAME", help="tokgate: the model, where the server has several")
    add("--temperature", type=float, default=0.0, help="tokgate: 0 is greedy (default)")
    add("--until-eos", action="store_true", help="tokgate: an answer may be shorter than was asked for")
    add("--think", default="0.5:3", metavar="S:S", help="tokgate: seconds between requests (default: 0.5:3)")
    add("--request-timeout", type=float, default=120.0, metavar="S", help="tokgate: of a whole answer (default: 120)")
    hidden: dict[str, Any] = {"include_in_web_ui": False}
    add("--tokenizer", default="", metavar="DIR", help="tokgate: prompts are texts of so many of its tokens", **hidden)
    add("--prompt-seed", default="", metavar="TEXT", help="tokgate: the same prompts for the same seed", **hidden)
    add("--api-key-env", default="", metavar="NAME", help="tokgate: the variable that holds the key", **hidden)
    add("--seconds", type=float, default=0.0, metavar="S", help="tokgate: end after so long, in order", **hidden)
    add("--record", default="", metavar="FILE", help="tokgate: write each request there, as JSON, at the end", **hidden)
