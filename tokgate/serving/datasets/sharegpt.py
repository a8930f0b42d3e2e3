"""--dataset-name sharegpt: the first turn of conversations of people with a model, and the length of its answer."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tokgate.errors import InputError
from tokgate.serving.datasets.files import read
from tokgate.serving.datasets.sample import Sample, stretched
from tokgate.serving.datasets.tokenizer import Tokenizer

# Those of vLLM and of the first papers that used the file: shorter turns are noise, longer ones did not fit.
_LEAST_LEN = 4
_MOST_PROMPT_LEN = 1024
_MOST_LEN = 2048


def samples(
    tokenizer: Tokenizer,
    path: Path,
    count: int,
    seed: int,
    output_len: int | None = None,
    shuffle: bool = True,
    oversample: bool = True,
) -> list[Sample]:
    """First turns whose lengths are in bounds; `output_len` instead of the answers' lengths where it is given.

    Raises InputError for a file of another kind.
    """
    turns = _turns(path)
    if shuffle:
        random.Random(seed).shuffle(turns)
    found: list[Sample] = []
    for prompt, answer in turns:
        if len(found) >= count:
            break
        prompt_len = len(tokenizer.encode(prompt))
        asked = len(tokenizer.encode(answer)) if output_len is None else output_len
        if _in_bounds(prompt_len, asked, given=output_len is not None):
            found.append(Sample(prompt, prompt_len, asked))
    return stretched(found, count, seed, oversample, str(path))


def _turns(path: Path) -> list[tuple[str, str]]:
    expected = 'a list of {"conversations": [{"value": ...}, ...]}, as ShareGPT has it'
    text = read(path, expected)
    try:
        entries = [entry["conversations"] for entry in json.loads(text) if "conversations" in entry]
        return [(str(turns[0]["value"]), str(turns[1]["value"])) for turns in entries if len(turns) >= 2]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"--dataset-path {path}: {_said(error)}; expected {expected}") from None


def _said(error: Exception) -> Any:
    return f"no {error} where one should be" if isinstance(error, KeyError) else error


def _in_bounds(prompt_len: int, output_len: int, given: bool) -> bool:
    long_enough = prompt_len >= _LEAST_LEN and (given or output_len >= _LEAST_LEN)
    return long_enough and prompt_len <= _MOST_PROMPT_LEN and prompt_len + output_len <= _MOST_LEN
