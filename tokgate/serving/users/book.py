"""Who of a Locust process sends what: each of its users has prompts of its own, whatever other processes send."""

from __future__ import annotations

import itertools
import uuid
from pathlib import Path

from locust.env import Environment

from tokgate.generate.codec import Codec
from tokgate.plan import Api
from tokgate.serving.users.asking import Prompts
from tokgate.serving.users.options import UserOptions
from tokgate.serving.users.texts import Texts


class PromptBook:
    """Of one Locust process. The tokenizer is loaded once, when its first user comes."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._unseeded = uuid.uuid4().hex
        self._users = itertools.count()
        self._texts: dict[tuple[str, int], Texts] = {}

    def of_user(self, api: Api, options: UserOptions) -> Prompts:
        """The next user's. With a seed the same ones for the n-th user of the n-th worker."""
        worker = getattr(self._environment.runner, "worker_index", 0)
        seed = f"{options.prompt_seed or self._unseeded} {worker} {next(self._users)}"
        # What is said in a chat is text.
        vocab_size = 0 if api == "chat" else options.vocab_size
        return Prompts(options.prompt_tokens, vocab_size, seed, self._texts_of(options))

    def _texts_of(self, options: UserOptions) -> Texts | None:
        if not options.tokenizer:
            return None
        asked = options.tokenizer, options.prompt_tokens
        if asked not in self._texts:
            self._texts[asked] = Texts(Codec(Path(options.tokenizer)), options.prompt_tokens)
        return self._texts[asked]
