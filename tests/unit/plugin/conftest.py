"""`run`: pytest as a user runs it, its launches scripted."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs import Runner


@pytest.fixture
def run(tmp_path: Path) -> Runner:
    return Runner(tmp_path)
