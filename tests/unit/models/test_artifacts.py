"""What is built of a model, and that it is built once."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.caches import built, silent
from models.conftest import ISA
from models.hub_layout import REVISION, lay_out
from tokgate import accuracy
from tokgate.errors import InputError
from tokgate.models.artifacts import ensure, entry_name, to_build
from tokgate.models.source import resolve

pytestmark = pytest.mark.unit


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
