"""Engine settings that a command line gives, KEY=VALUE, named and written as in a matrix: enforce_eager=true."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tokgate import tomltext
from tokgate.errors import InputError

if TYPE_CHECKING:
    from tokgate.models.source import ModelSource
    from tokgate.scenario import Scenario

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def given_settings(words: Sequence[str], option: str) -> dict[str, Any]:
    """Of `KEY=VALUE` each, a VALUE as TOML has it; a key with a dot is one of a table. `option` gave them.

    Raises InputError for what is not that, and as `check_values`. Another spelling is no text instead: vLLM would take
    "False" for true.
    """
    for word in words:
        found = _parsed(word, option, word)
        try:
            tomltext.pairs(found)
        except TypeError:
            found = {}  # a date: no engine has such a setting
        if not found:
            raise _refused(option, word, "it names no setting")
    found = _parsed("\n".join(words), option, f" {option} ".join(words))
    check_values(found, option)
    return found


def check_values(settings: Mapping[str, Any], place: str) -> None:
    """Raises InputError for a value that no engine takes, of the settings that tokgate itself reads."""
    if not settings:
        return
    from tokgate.engines.values import CHECKS  # here, or every run of pytest would import numpy

    # A server's flags take either spelling.
    spelled = {name.replace("-", "_"): value for name, value in settings.items()}
    for name in filter(spelled.__contains__, CHECKS):
        try:
            CHECKS[name](name, spelled[name])
        except ValueError as error:
            raise InputError(f"{place}: {error}") from None


def merged(settings: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the given ones in their place; of a table only the keys that are given."""
    found = dict(settings)
    for key, value in given.items():
        own = found.get(key)
        found[key] = merged(own, value) if isinstance(own, Mapping) and isinstance(value, Mapping) else value
    return found


def context_len(settings: Mapping[str, Any], model_len: int) -> int:
    """Prompt and output tokens together that the engine takes: the model's, or the fewer that it was told to."""
    told = settings.get("max_model_len")
    # vLLM has -1 and "auto" as well: what fits.
    return min(told, model_len) if isinstance(told, int) and told > 0 else model_len


def beyond_context(row: Scenario, settings: Mapping[str, Any], source: ModelSource) -> str | None:
    """Why an engine of these settings cannot hold the row's sequences; None if it can."""
    tokens, most = row.prompt_len + row.output_len, context_len(settings, source.max_context)
    if tokens <= most:
        return None
    is_told = most < source.max_context
    ends = f"max_model_len is {most}" if is_told else f"the context of {source.model_id} ends at {most}"
    return f"{row.prompt_len} prompt and {row.output_len} output tokens make {tokens}; {ends}"


def _parsed(text: str, option: str, said: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _refused(option, said, str(error)) from None


def _refused(option: str, said: str, why: str) -> InputError:
    return InputError(
        f"{option} {said}: {why}; expected KEY=VALUE as in a matrix and each key once, a text in quotes: "
        f"""{option} enforce_eager=true {option} 'kv_cache_dtype="fp8"'"""
    )
