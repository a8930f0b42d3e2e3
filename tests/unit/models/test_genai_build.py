"""What is changed in the settings that GenAI's builder writes, and what is said where it is not installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.errors import InputError
from tokgate.models import genai_build
from tokgate.models.artifacts import entry_name
from tokgate.models.genai_build import end_nowhere
from tokgate.models.source import resolve

pytestmark = pytest.mark.unit


@given(st.integers(2, 300), st.data())
def test_no_token_that_is_needed_ends_a_sequence_and_none_is_padding(vocab_size: int, data: st.DataObject) -> None:
    used = data.draw(st.lists(st.integers(0, vocab_size - 1), max_size=vocab_size - 1))
    config = {"model": {"vocab_size": vocab_size, "eos_token_id": [1, 2], "pad_token_id": 1, "type": "qwen2"}}
    end_nowhere(config, used)
    end = config["model"]["eos_token_id"]
    assert isinstance(end, int)
    assert 0 <= end < vocab_size, "GenAI refuses others"
    assert end not in used
    assert set(range(end + 1, vocab_size)) <= set(used), "the last one that is free"
    assert config["model"]["pad_token_id"] == vocab_size
    assert config["model"]["type"] == "qwen2"


def test_without_genai_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(genai_build, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"make genai.* pytest builds with .*--perf-python=\.venv-genai/bin/python"):
        genai_build.build(lambda event: None, "checkpoint", str(tmp_path), "int8")


def test_genais_files_depend_on_its_version_and_on_no_cpu_and_not_on_the_other_exporter() -> None:
    names = ("torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnx-ir", "onnxruntime", "onnxruntime-genai")
    versions = dict.fromkeys(names, "1")
    source = resolve("tiny", "tiny")

    def name(kind: str = "genai-int8", isa: str = "avx2", **changed: str) -> str:
        found: dict[str, str] = {**versions, **{package.replace("_", "-"): value for package, value in changed.items()}}
        return entry_name(source, kind, isa, found)

    assert name() == name(isa="arm64") == name(optimum="2", optimum_onnx="2")
    changed = [name(**{package: "2"}) for package in ("torch", "transformers", "onnx", "onnx_ir", "onnxruntime")]
    assert len({name(), name("genai-int4"), name("genai-fp32"), name(onnxruntime_genai="2"), *changed}) == 9


def test_genai_is_not_imported_to_be_looked_for() -> None:
    """The pytest process imports no engine, and where none is installed its absence is no error."""
    found: Any = importlib.util.find_spec("tokgate.models.genai_build")
    source = Path(found.origin).read_text()
    assert "import onnxruntime_genai" not in source
