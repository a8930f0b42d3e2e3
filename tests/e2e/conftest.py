"""Models that the modules share: the tiny model is built once for each interpreter that builds it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this interpreter's models are: whoever needs one first builds it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def vllm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of vLLM's interpreter, whose checkpoints are other entries."""
    return tmp_path_factory.mktemp("vllm-cache")
