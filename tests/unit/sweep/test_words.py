"""A sweep in sentences: none says more than was shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.sweep.examples import THROUGHPUT, measured, written
from tokgate.sweep.constraints import Constraint
from tokgate.sweep.file import read_sweep
from tokgate.sweep.outcome import Outcome
from tokgate.sweep.pareto import front
from tokgate.sweep.ranking import rank
from tokgate.sweep.words import sentence

pytestmark = pytest.mark.unit

MOST = Constraint(THROUGHPUT, "max", 110.0, "110 tok/s")
SPEEDS = {1: [102.0, 103.0, 101.0], 2: [50.0, 51.0, 49.0], 3: [120.0, 121.0, 119.0]}


def said(folder: Path, *numbers: int, constraints: tuple[Constraint, ...] = ()) -> str:
    found = measured({number: SPEEDS[number] for number in numbers}, constraints=constraints)
    return sentence(Outcome(read_sweep(written(folder)), rank(found, "output_throughput", []), front(found), 9, 60.0))


def test_the_best_is_ahead_of_what_was_shown_to_be_behind(tmp_path: Path) -> None:
    assert said(tmp_path, 1, 2).endswith("102 tok/s ahead of all others.")
    assert said(tmp_path, 1).endswith("102 tok/s.")


def test_the_best_is_not_ahead_of_a_faster_one_that_breaks_a_constraint(tmp_path: Path) -> None:
    assert said(tmp_path, 1, 3, constraints=(MOST,)).endswith("102 tok/s.")
    assert said(tmp_path, 1, 2, 3, constraints=(MOST,)).endswith("ahead of all others that keep the constraints.")
