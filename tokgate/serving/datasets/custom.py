"""--dataset-name custom: prompts from a file of one JSON object a line."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokgate.errors import InputError
from tokgate.serving.datasets.files import read
from tokgate.serving.datasets.sample import Sample, stretched
from tokgate.serving.datasets.tokenizer import Tokenizer

LEN_OF_FILE = -1


def samples(
    tokenizer: Tokenizer | None,
    path: Path,
    count: int,
    seed: int,
    output_len: int = 256,
    template: Mapping[str, Any] | None = None,
    shuffle: bool = True,
    oversample: bool = True,
) -> list[Sample]:
    """The prompts of the file; all of them where `count` is 0 or below.

    `output_len`: -1 takes each line's own "output_tokens". `template`: arguments for the tokenizer's chat template,
    None to send prompts as they stand. Without a tokenizer no template is applied and no prompt's length is known.
    Raises InputError for a file of another kind.
    """
    lines = _lines(path)
    if shuffle:
        random.Random(seed).shuffle(lines)
    wanted = count if count > 0 else len(lines)
    found = [
        _sample(tokenizer, line, output_len, template, f"{path}: prompt {number} in the order of sending")
        for number, line in enumerate(lines[:wanted])
    ]
    return stretched(found, wanted, seed, oversample, str(path))


def _sample(
    tokenizer: Tokenizer | None,
    line: Mapping[str, Any],
    output_len: int,
    template: Mapping[str, Any] | None,
    where: str,
) -> Sample:
    prompt = line["prompt"]
    if output_len == LEN_OF_FILE:
        output_len = _own_len(line, where)
    if tokenizer is None:
        return Sample(prompt, 0, output_len)
    if template is not None:
        try:
            prompt = tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False, **template
            )
        except ValueError as error:
            said = str(error).splitlines()[0]
            raise InputError(f"{where}: no chat template ({said}); add --skip-chat-template") from None
    return Sample(prompt, len(tokenizer.encode(prompt)), output_len)


def _own_len(line: Mapping[str, Any], where: str) -> int:
    value = line.get("output_tokens")
    try:
        found = int(value)  # type: ignore[arg-type]  # whatever the file holds, refused below
    except (TypeError, ValueError):
        found = 0
    if found < 1:
        raise InputError(f"{where}: output_tokens is {value!r}; --custom-output-len -1 needs a whole number")
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    found = []
    # Not splitlines(): JSON may hold U+2028 as it is.
    for number, line in enumerate(read(path, "one JSON object a line").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}:{number}: {error}; expected one JSON object a line") from None
        if not isinstance(data, dict) or not isinstance(data.get("prompt"), str):
            raise InputError(f'{path}:{number}: no "prompt" that is a text; expected {{"prompt": "..."}} on each line')
        found.append(data)
    return found
