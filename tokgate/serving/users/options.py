"""What users are told: options of the locust command, of its form on the web too."""

from __future__ import annotations

import argparse
import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokgate.plan import Api
from tokgate.serving.remote import target_of
from tokgate.serving.request import Target
from tokgate.serving.users.asking import Prompts


@dataclass(frozen=True)
class UserOptions:
    """`think_s`: the least and the most seconds between an answer and the next request. `vocab_size` 0: prompts are
    texts."""

    output_tokens: int
    prompt_tokens: int
    vocab_size: int
    prompts_file: str
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
            prompts_file=parsed.prompts or "",
            model=parsed.served_model or "",
            temperature=float(parsed.temperature),
            exact=not parsed.until_eos,
            think_s=(float(least_s), float(most_s or least_s)),
            timeout_s=float(parsed.request_timeout),
            key_env=parsed.api_key_env or "",
        )

    def prompts(self, api: Api) -> Prompts:
        """Of one user: each has others, in whatever process. What is said in a chat is text."""
        texts = json.loads(Path(self.prompts_file).read_text("utf-8")) if self.prompts_file else ()
        return Prompts(self.prompt_tokens, 0 if api == "chat" else self.vocab_size, uuid.uuid4().hex, texts)

    def target(self, host: str, path: str) -> Target:
        """Raises InputError for what is no URL, or a key that is not there."""
        return target_of(host, path, self.key_env, os.environ)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds them to Locust's own."""
    group = parser.add_argument_group("tokgate", "what the users ask for")
    group.add_argument("--output-tokens", type=int, default=100, metavar="N", help="asked for (default: 100)")
    group.add_argument("--prompt-tokens", type=int, default=32, metavar="N", help="or words (default: 32)")
    group.add_argument("--vocab-size", type=int, default=0, metavar="N", help="prompts of token ids below N")
    group.add_argument("--prompts", default="", metavar="FILE", help="a JSON list of texts to send instead")
    group.add_argument("--served-model", default="", metavar="NAME", help="the model, where the server has several")
    group.add_argument("--temperature", type=float, default=0.0)
    group.add_argument("--until-eos", action="store_true", help="an answer may be shorter than was asked for")
    group.add_argument("--think", default="0.5:3", metavar="S:S", help="seconds between requests (default: 0.5:3)")
    group.add_argument("--request-timeout", type=float, default=120.0, metavar="S", help="default: 120")
    group.add_argument("--api-key-env", default="", metavar="NAME", help="the variable that holds the key")
    group.add_argument("--seconds", type=float, default=0.0, metavar="S", help="end after so long, in order")
    group.add_argument("--record", default="", metavar="FILE", help="write each request there, as JSON, at the end")
