"""One real build of `tiny`, made once for all tests (and for all workers of pytest-xdist)."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tokgate.models.artifacts import Artifact, ensure
from tokgate.models.source import ModelSource, resolve

ISA = "avx2"


@dataclass(frozen=True)
class Tiny:
    source: ModelSource
    cache_root: Path
    checkpoint: Artifact
    fp32: Artifact
    int8: Artifact
    said: tuple[str, ...]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "models"
    source = resolve("tiny", "tiny")
    said: list[str] = []

    def built(engine: str, precision: str) -> Artifact:
        return ensure(source, engine, precision, root, sys.executable, ISA, said.append)

    int8 = built("onnx", "int8")
    return Tiny(source, root, built("transformers", "fp32"), built("onnx", "fp32"), int8, tuple(said))
