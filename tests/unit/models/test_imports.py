from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

CODE = """
import sys
from tokgate.models import artifacts, cache, catalog, fit, hub, shapes, source
found = source.resolve("auto", "qwen2.5-0.5b-instruct")
source.resolve("tiny", "tiny").identity
heavy = {"torch", "transformers", "onnx", "onnxruntime", "optimum", "tokenizers", "safetensors", "accelerate"}
print(sorted(heavy & set(sys.modules)))
"""


def test_resolving_and_finding_models_imports_no_engine() -> None:
    output = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    assert output == "[]\n"
