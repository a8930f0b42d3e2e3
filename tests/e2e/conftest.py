"""What the modules share: the tiny model, which is built once for each interpreter that builds it, and a browser."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """vLLM's first, which take minutes: begun last, one of them would run on when all others have ended."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.parent != here or "vllm" not in item.path.name)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell makes what it puts into the background deaf to Ctrl-C, and processes pass that on to their children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, the distribution's: apt-get install chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install -r requirements-dev.txt")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        # Containers run as root, where Chromium has no sandbox; the pages are our own.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
