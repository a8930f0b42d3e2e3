"""`sweep`: the command in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.sweep.sweeping import Sweep


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path)
