"""Models that the modules share: the tiny model is built once for each interpreter that builds it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def caches(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where models are built: --perf-cache, which processes and runs may share, or else a folder of this process."""
    given = pytestconfig.getoption("perf_cache")
    return Path(given).resolve() if given else tmp_path_factory.mktemp("caches")


@pytest.fixture(scope="session")
def cache(caches: Path) -> Path:
    """This interpreter's models: whoever needs one first builds it."""
    return made(caches / "own")


@pytest.fixture(scope="session")
def vllm_cache(caches: Path) -> Path:
    """The same of vLLM's interpreter, whose checkpoints are other entries."""
    return made(caches / "vllm")


@pytest.fixture(scope="session")
def genai_cache(caches: Path) -> Path:
    """And of GenAI's."""
    return made(caches / "genai")


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
