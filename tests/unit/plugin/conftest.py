"""`run`: pytest as a user runs it, its launches scripted; `accepted`: where five nights were accepted before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from runs import Runner


@pytest.fixture
def run(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.fixture(scope="session")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The baselines of five nights like a run as it comes."""
    run = Runner(tmp_path_factory.mktemp("nights"))
    run.accept(run().session)
    return run.baselines


@pytest.fixture
def accepted(run: Runner, nights: Path) -> None:
    shutil.copytree(nights, run.baselines, dirs_exist_ok=True)
