"""ONNX Runtime GenAI's own model builder: from a checkpoint to a graph and the settings that its loop reads."""

from __future__ import annotations

import contextlib
import json
import runpy
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokgate.accuracy import Reference
from tokgate.errors import InputError

BUILDER = "onnxruntime_genai.models.builder"
CONFIG_FILE = "genai_config.json"
_MISSING = (
    "onnxruntime-genai is not installed for {}, which builds the model: `make genai` makes an environment that has it. "
    "pytest builds with that of --perf-python=.venv-genai/bin/python, a command of tokgate with the one that runs it"
)


def build(emit: Callable[[dict[str, Any]], None], checkpoint: str, out: str, precision: str) -> dict[str, Any]:
    """A step of a build: what `python -m onnxruntime_genai.models.builder` makes of `checkpoint`, in folder `out`.

    Its defaults, weight-only rounding in blocks of 32, but for one: logits of the last position only, as in the other
    engines' graphs. `out` holds the reference. Raises InputError where the builder is not installed.
    """
    if find_spec("onnxruntime_genai") is None:
        raise InputError(_MISSING.format(sys.executable))
    emit({"event": "step", "name": "genai", "detail": f"{precision}, by ONNX Runtime GenAI's model builder"})
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        arguments = ["-i", checkpoint, "-o", out, "-p", precision, "-e", "cpu", "-c", scratch]
        options = ["--extra_options", "prune_lm_head=true", "hf_token=false"]
        with _command_line(BUILDER, *arguments, *options):
            runpy.run_module(BUILDER, run_name="__main__", alter_sys=True)
    path = Path(out) / CONFIG_FILE
    config = json.loads(path.read_text())
    end_nowhere(config, Reference.load(Path(out)).continuation.ravel().tolist())
    path.write_text(json.dumps(config, indent=1) + "\n")
    return {}


def end_nowhere(config: dict[str, Any], used: Iterable[int]) -> None:
    """Changes a genai_config so that no token that anyone needs ends a sequence or counts as padding.

    GenAI wants an end-of-sequence id within the vocabulary: the last one that is not among `used`, which vocabularies
    rounded up to a multiple leave free. Tokens at the end of a prompt that equal the padding id are taken for padding
    and masked in a batch; an id beyond the vocabulary equals none.
    """
    model = config["model"]
    taken = set(used)
    model["eos_token_id"] = next(token for token in range(model["vocab_size"] - 1, -1, -1) if token not in taken)
    model["pad_token_id"] = model["vocab_size"]


@contextlib.contextmanager
def _command_line(*words: str) -> Iterator[None]:
    """For a module that is run as a script."""
    before = sys.argv
    sys.argv = list(words)
    try:
        yield
    finally:
        sys.argv = before
