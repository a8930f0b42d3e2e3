from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.conftest import ISA
from models.hub_layout import REVISION, lay_out
from tokgate import accuracy
from tokgate.errors import InputError, MeasurementError
from tokgate.models import artifacts
from tokgate.models.artifacts import ensure, entry_name, to_build
from tokgate.models.source import resolve

pytestmark = pytest.mark.unit


def silent(_: str) -> None:
    pass


def built(root: Path) -> list[str]:
    """What lies in the cache, but for its locks."""
    return sorted(path.name for path in root.iterdir() if not path.name.endswith(".lock"))


def test_a_build_says_what_it_does_and_what_it_took(tiny: Any) -> None:
    if sum("of memory" in text for text in tiny.said) == 3:  # a worker of pytest-xdist may have built some of it
        for step in ("dummy", "tokenizer", "reference", "export", "graph", "check", "quantize"):
            assert any(f": {step}: " in text for text in tiny.said)
    steps = [step["name"] for step in tiny.int8.meta["steps"]]
    assert steps == ["dummy", "reference", "export", "graph", "check", "quantize", "check"]
    assert all(step["peak_rss_bytes"] > 10e6 for step in tiny.int8.meta["steps"])


def test_artifacts_hold_what_a_worker_needs(tiny: Any) -> None:
    for artifact in (tiny.checkpoint, tiny.fp32, tiny.int8):
        assert (artifact.path / "config.json").is_file()
        assert accuracy.Reference.load(artifact.path).prompts.shape == (4, 16)
        assert artifact.meta["vocab_size"] == 2000
        assert artifact.meta["max_context"] == 2048
        assert artifact.meta["parameters"] == tiny.source.shape.parameters
        assert not artifact.meta["real_weights"]
        assert not (artifact.path / "scratch").exists()
    kinds = {name.split(".")[1] for name in built(tiny.cache_root)}
    assert {"checkpoint", "onnx-fp32", "onnx-int8"} <= kinds


def test_the_fp32_graph_is_exact_and_the_int8_graph_is_near(tiny: Any) -> None:
    assert tiny.fp32.meta["accuracy"]["max_logit_diff"] < 1e-4
    assert tiny.fp32.meta["accuracy"]["top1_agreement"] == 1
    assert 1e-4 < tiny.int8.meta["accuracy"]["logit_distance"] < 0.5
    assert tiny.int8.meta["fp32_accuracy"] == tiny.fp32.meta["accuracy"]


def test_the_names_tell_apart_whatever_determines_the_content(tiny: Any) -> None:
    versions = dict.fromkeys(("torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime"), "1")
    names = {entry_name(tiny.source, kind, ISA, versions) for kind in ("checkpoint", "onnx-fp32", "onnx-int8")}
    for package in versions:
        names.add(entry_name(tiny.source, "onnx-int8", ISA, {**versions, package: "2"}))
    names.add(entry_name(tiny.source, "onnx-int8", "arm64", versions))
    names.add(entry_name(replace(tiny.source, seed=1), "onnx-int8", ISA, versions))
    assert len(names) == 11
    same = entry_name(tiny.source, "onnx-fp32", "arm64", versions)
    assert same == entry_name(tiny.source, "onnx-fp32", ISA, versions), "FP32 is the same on every CPU"


@pytest.mark.parametrize("kind", ["checkpoint", "vllm-int8", "skeleton-fp16"])
def test_what_vllm_loads_depends_on_no_onnx_and_on_no_cpu(tiny: Any, kind: str) -> None:
    versions = dict.fromkeys(("torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime"), "1")
    name = entry_name(tiny.source, kind, ISA, versions)
    assert entry_name(tiny.source, kind, "arm64", {**versions, "onnxruntime": "2", "optimum": "2"}) == name
    assert entry_name(tiny.source, kind, ISA, {**versions, "transformers": "2"}) != name


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_compressed_weights_are_the_checkpoints_rounded(tmp_path: Path, tiny: Any, precision: str) -> None:
    """Dequantised they are the checkpoint's but for half a step, and their reference is the checkpoint's."""
    from importlib import import_module

    artifact = ensure(tiny.source, "vllm", precision, tiny.cache_root, sys.executable, ISA, silent)
    assert [step["name"] for step in artifact.meta["steps"]] == ["dummy", "reference", "compress"]
    assert (artifact.path / accuracy.FILE_NAME).samefile(tiny.checkpoint.path / accuracy.FILE_NAME)
    assert (artifact.path / "tokenizer.json").is_file()
    config = json.loads((artifact.path / "config.json").read_text())
    (scheme,) = config["quantization_config"]["config_groups"].values()
    assert scheme["weights"]["num_bits"] == int(precision[-1])

    load = import_module("safetensors.torch").load_file
    plain = load(tiny.checkpoint.path / "model.safetensors")
    made = load(artifact.path / "model.safetensors")
    name = "model.layers.1.mlp.down_proj.weight"
    assert made["model.embed_tokens.weight"].equal(plain["model.embed_tokens.weight"])
    scale = made[f"{name}_scale"].float()
    if precision == "int8":
        values = made[name].float() * scale
        half_step = scale / 2
    else:
        assert made[f"{name}_shape"].tolist() == list(plain[name].shape)
        packed = made[f"{name}_packed"]
        nibbles = [(packed >> shift & 15) - 8 for shift in range(0, 32, 4)]
        columns = import_module("torch").stack(nibbles, dim=-1).flatten(1).float()
        scale = scale.repeat_interleave(128, dim=1)
        values, half_step = columns * scale, scale / 2
    # Scales are kept in BF16, with 8 bits: of the largest value that is half a step once more, at 8 bits.
    assert ((values - plain[name].float()).abs() <= 2.1 * half_step).all()


def test_a_skeleton_has_a_config_and_no_weights(tmp_path: Path) -> None:
    """Seven billion weights in seconds, on any machine."""
    source = resolve("dummy", "qwen2.5-7b")
    said: list[str] = []
    where = (source, "vllm", "int8", tmp_path)
    assert to_build(*where, ISA, skeleton=True) == "skeleton-int8"
    artifact = ensure(*where, sys.executable, ISA, said.append, 10**9, skeleton=True)
    assert not list(artifact.path.glob("*.safetensors"))
    assert not (artifact.path / accuracy.FILE_NAME).exists()
    config = json.loads((artifact.path / "config.json").read_text())
    assert config["hidden_size"] == 3584
    assert config["quantization_config"]["quant_method"] == "compressed-tensors"
    assert (artifact.path / "tokenizer.json").is_file()
    assert artifact.meta["size_bytes"] < 20e6
    with pytest.raises(InputError, match="no model without weights can be built for engine vllm at bnb4"):
        ensure(source, "vllm", "bnb4", tmp_path, sys.executable, ISA, silent, skeleton=True)


def test_a_second_time_nothing_is_built(tiny: Any) -> None:
    where = (tiny.source, "onnx", "int8", tiny.cache_root)
    assert to_build(*where, ISA) is None
    assert to_build(*where, "arm64") == "onnx-int8"
    assert to_build(replace(tiny.source, seed=1), "onnx", "int8", tiny.cache_root, ISA) == "onnx-int8"
    said: list[str] = []
    assert ensure(*where, sys.executable, ISA, said.append) == tiny.int8
    assert said == []


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


def test_a_hub_snapshot_is_linked_and_not_copied(tmp_path: Path, tiny: Any) -> None:
    files = {path.name: path.read_bytes() for path in tiny.checkpoint.path.glob("*") if path.suffix != ".npz"}
    files["modeling_evil.py"] = b"raise SystemExit"
    files["pytorch_model.bin"] = b"pickled"
    snapshot = lay_out(tmp_path / "hub", "Org/Small", REVISION, files)
    source = resolve(f"Org/Small@{REVISION}", "tiny", hub_cache=tmp_path / "hub")
    said: list[str] = []
    artifact = ensure(source, "transformers", "bf16", tmp_path / "root", sys.executable, ISA, said.append)
    assert artifact.meta["real_weights"]
    assert artifact.path.name.startswith("small.checkpoint.")
    weights = artifact.path / "model.safetensors"
    assert weights.is_symlink()
    assert weights.resolve() == (snapshot / "model.safetensors").resolve()
    assert not (artifact.path / "modeling_evil.py").exists()
    assert not (artifact.path / "pytorch_model.bin").exists()
    ours, theirs = accuracy.Reference.load(artifact.path), accuracy.Reference.load(tiny.checkpoint.path)
    assert (ours.continuation == theirs.continuation).all(), "the same weights, so the same reference"
    shutil.rmtree(tmp_path / "hub")
    assert to_build(source, "transformers", "bf16", tmp_path / "root", ISA) == "checkpoint", "the snapshot is gone"


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
