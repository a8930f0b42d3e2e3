"""Engine settings that a command line gives, KEY=VALUE, named and written as in a matrix: enforce_eager=true."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tokgate.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def given_settings(words: Sequence[str], option: str) -> dict[str, Any]:
    """Of `KEY=VALUE` each, a VALUE as TOML has it; a key with a dot is one of a table. `option` gave them.

    Raises InputError for what is not that. Another spelling is no text instead: vLLM would take "False" for true.
    """
    for word in words:
        _parsed(word, option, word)
    return _parsed("\n".join(words), option, f" {option} ".join(words))


def context_len(settings: Mapping[str, Any], model_len: int) -> int:
    """Prompt and output tokens together that the engine takes: the model's, or the fewer that it was told to."""
    told = settings.get("max_model_len")
    # vLLM has -1 and "auto" as well: what fits.
    return min(told, model_len) if isinstance(told, int) and told > 0 else model_len


def _parsed(text: str, option: str, said: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"{option} {said}: {error}; expected KEY=VALUE as in a matrix and each key once, a text in quotes: "
            f"""{option} enforce_eager=true {option} 'kv_cache_dtype="fp8"'"""
        ) from None
