"""Tokenizers of models, by transformers. The one module of a client that imports it, and only when one is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tokgate.errors import InputError
from tokgate.models import hub

# So many vLLM makes, and then sends what it has.
_TRIES_OF_VLLM = 10
_TRIES = 100
_MOST_CUT = 8
# Longer than a slow line takes, and shorter than anybody waits to be told that there is none.
_HUB_TIMEOUT_S = 5.0


class Tokenizer(Protocol):
    """What is used of a transformers tokenizer."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def all_special_ids(self) -> list[int]: ...
    def num_special_tokens_to_add(self) -> int: ...
    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]: ...
    def decode(self, ids: list[int]) -> str: ...
    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> str: ...


def load(name: str, trust_remote_code: bool = False) -> Tokenizer:
    """The tokenizer of a local folder or of a model of the hub. Raises InputError where it cannot be had.

    Where the hub does not answer within 5 s its cache alone is read: transformers would try again for most of a minute.
    """
    try:
        return _from_transformers(name, trust_remote_code)
    except ImportError as error:
        why, remedy = f"transformers cannot be imported ({error})", "pip install transformers"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # transformers trips over a folder without the files of one.
        said = str(error).strip().splitlines() or [type(error).__name__]
        where = "in that folder" if Path(name).is_dir() else "no such folder, and nothing from the hub"
        why, remedy = f"{where}: {said[0].rstrip('.')}", "name one with --tokenizer DIR or --tokenizer ORG/NAME"
    raise InputError(
        f"tokenizer {name!r}: {why}; {remedy}, or send a file's prompts as they are with --dataset-name custom "
        "--skip-tokenizer-init"
    )


def _from_transformers(name: str, trust_remote_code: bool) -> Tokenizer:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast
    from transformers.utils import logging

    # It warns of lengths and of regular expressions that matter to training, not to counting.
    logging.set_verbosity_error()
    # A folder has all there is of it.
    local = Path(name).is_dir() or not hub.is_there(name, _HUB_TIMEOUT_S)
    try:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(
            name, trust_remote_code=trust_remote_code, local_files_only=local
        )
    except ValueError:
        # A class of a newer transformers ("TokenizersBackend"); what it does stands in tokenizer.json.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(name, local_files_only=local)
    return tokenizer


def fitted(
    tokenizer: Tokenizer, ids: list[int], length: int, draw: Callable[[int], NDArray[np.int64]]
) -> tuple[str, list[int]]:
    """A text that begins like `ids` and encodes to `length` tokens, and those tokens, without special ones.

    N tokens decoded need not encode to N tokens again, so the text is cut, or lengthened by tokens from `draw`, until
    it does. Where 100 tries were not enough the tokens of the last text are returned, of another length.
    """
    own = np.random.default_rng(length)
    text, ids = _round_trip(tokenizer, ids)
    for tried in range(_TRIES):
        missing = length - len(ids)
        if missing == 0:
            break
        # A cut may split a character, and its pieces be as many tokens as before, for ever: then cut off some more, and
        # draw those anew. What is drawn by then comes from elsewhere, so that the prompts that follow are vLLM's again.
        astray = tried >= _TRIES_OF_VLLM
        if missing < 0:
            ids = ids[: max(0, length - int(own.integers(1, _MOST_CUT))) if astray else length]
        else:
            drawn = own.integers(0, tokenizer.vocab_size, size=missing) if astray else draw(missing)
            ids = [*ids, *drawn.tolist()]
        text, ids = _round_trip(tokenizer, ids)
    return text, ids


def _round_trip(tokenizer: Tokenizer, ids: list[int]) -> tuple[str, list[int]]:
    text = tokenizer.decode(ids)
    return text, tokenizer.encode(text, add_special_tokens=False)
