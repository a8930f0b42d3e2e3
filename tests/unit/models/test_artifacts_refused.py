"""Builds that are refused, fail or are killed: each says why and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from models.caches import built, silent
from models.conftest import ISA
from tokgate.errors import InputError, MeasurementError
from tokgate.models import artifacts
from tokgate.models.artifacts import ensure
from tokgate.models.source import resolve

pytestmark = pytest.mark.unit


def failing_python(tmp_path: Path, event: str) -> str:
    """An interpreter whose builds write half a file and then fail with this event."""
    script = tmp_path / "python"
    script.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} "$@"\n'
        f'echo half > "$(dirname "$(dirname "$3")")/model.safetensors"\necho \'{event}\'\nexit 1\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


@pytest.mark.parametrize(
    ("engine", "precision", "isa", "said"),
    [
        ("onnx", "bf16", ISA, "no model can be built for engine onnx at bf16"),
        ("genai", "fp16", ISA, "no model can be built for engine genai"),
        ("onnx", "int8", "sse2", "unknown instruction set 'sse2'; expected one of avx512_vnni"),
    ],
)
def test_what_is_never_built_is_refused(tmp_path: Path, engine: str, precision: str, isa: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ensure(resolve("tiny", "tiny"), engine, precision, tmp_path, sys.executable, isa, silent)


def test_a_python_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no usable Python"):
        ensure(resolve("tiny", "tiny"), "onnx", "fp32", tmp_path, "/no/such/python", ISA, silent)


def test_too_little_memory_is_said_with_the_sum_before_anything_is_built(tmp_path: Path) -> None:
    source = resolve("dummy", "mistral-7b")
    with pytest.raises(InputError, match=r"mistral-7b-dummy: not enough memory: .* needs 44.* available: 16"):
        ensure(source, "onnx", "int8", tmp_path, sys.executable, ISA, silent, available_bytes=16 * 10**9)
    assert built(tmp_path) == []


def test_too_little_disk_is_said_with_the_sum(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(artifacts.shutil, "disk_usage", lambda _: usage(1, 1, 10**6))
    with pytest.raises(InputError, match=r"not enough disk in .* needs 9 MB: .* available: 1 MB"):
        ensure(resolve("tiny", "tiny"), "transformers", "fp32", tmp_path, sys.executable, ISA, silent)
    assert built(tmp_path) == []


@pytest.mark.parametrize(
    ("message", "refused", "input_error", "said"),
    [
        (
            "SafetensorError: No space left on device (os error 28)",
            MeasurementError,
            "false",
            "the disk is full",
        ),
        (
            "model_type 'x' has no known ONNX graph",
            InputError,
            "true",
            "its step dummy failed: model_type 'x'",
        ),
        ("401 for hf_abcdefGHIJ0123456789", MeasurementError, "false", r"401 for hf_\*\*\*"),
    ],
)
def test_a_failed_step_says_why_and_leaves_nothing(
    tmp_path: Path, message: str, refused: type[Exception], input_error: str, said: str
) -> None:
    event = f'{{"event": "error", "message": "{message}", "input_error": {input_error}}}'
    python, root = failing_python(tmp_path, event.replace("'", "'\\''")), tmp_path / "root"
    with pytest.raises(refused, match=said):
        ensure(resolve("tiny", "tiny"), "onnx", "fp32", root, python, ISA, silent)
    assert built(root) == []


MISTRAL = """
name = "small-mistral"

[config]
model_type = "mistral"
vocab_size = 1000
hidden_size = 64
intermediate_size = 192
num_hidden_layers = 2
num_attention_heads = 4
num_key_value_heads = 4
max_position_embeddings = 1024
sliding_window = 512
rope_theta = 10000.0
rms_norm_eps = 1e-5
tie_word_embeddings = false
"""
BUILD = """
import sys
from pathlib import Path
from tokgate.models.artifacts import ensure
from tokgate.models.source import resolve
source = resolve("small-mistral", "small-mistral", folder=Path(sys.argv[1]))
say = lambda text: print(text, flush=True)
ensure(source, "onnx", "fp32", Path(sys.argv[2]), sys.executable, "avx2", say)
"""


def processes_about(text: str) -> list[int]:
    """Processes that name `text` on their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if text in line and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def test_a_build_killed_in_the_middle_leaves_no_child_and_the_next_one_works(tmp_path: Path) -> None:
    """Untied weights, no biases and a sliding window, too: what Mistral has and Qwen has not."""
    (tmp_path / "small-mistral.toml").write_text(MISTRAL)
    root = tmp_path / "root"
    command = [sys.executable, "-c", BUILD, str(tmp_path), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as building:
        assert building.stdout is not None
        for line in building.stdout:
            if re.match("onnx-fp32: export", line):
                break
        building.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while processes_about(f"{root}/.small-mistral") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_about(f"{root}/.small-mistral") == []
    checkpoint, partial = sorted(built(root), reverse=True)
    assert checkpoint.startswith("small-mistral-dummy.checkpoint.")
    assert partial.startswith(".small-mistral-dummy.onnx-fp32.")

    source = resolve("small-mistral", "small-mistral", folder=tmp_path)
    assert source.max_context == 512
    said: list[str] = []
    artifact = ensure(source, "onnx", "fp32", root, sys.executable, ISA, said.append)
    assert not any("dummy" in text.split(":")[1:2] for text in said), "the checkpoint was kept"
    assert artifact.meta["accuracy"]["max_logit_diff"] < 1e-4
    assert built(root) == sorted([checkpoint, artifact.path.name])
