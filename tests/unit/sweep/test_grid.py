"""From grids to settings: every combination, each once, each with a name of its own."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.sweep.grid import DEFAULT, choices, identity, labels

pytestmark = pytest.mark.unit

NAMES = st.sampled_from(["threads", "batch", "eager", "precision"])
VALUES = st.lists(st.one_of(st.integers(1, 4), st.booleans(), st.just(DEFAULT)), min_size=1, max_size=4)
GRIDS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=3)


@given(st.dictionaries(NAMES, st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True), max_size=4))
def test_a_grid_has_every_combination(grid: dict[str, list[int]]) -> None:
    found = choices([grid])
    assert len(found) == math.prod(len(values) for values in grid.values())
    assert all(choice[name] in values for choice in found for name, values in grid.items())


@given(GRIDS)
def test_what_stands_twice_is_there_once_and_a_default_is_not_set(grids: list[dict[str, list[Any]]]) -> None:
    found = choices(grids)
    assert len({identity(choice) for choice in found}) == len(found)
    assert DEFAULT not in [value for choice in found for value in choice.values()]
    assert found == choices([*grids, *grids]), "a second time they add nothing"


@given(GRIDS)
def test_every_setting_has_a_label_of_its_own(grids: list[dict[str, list[Any]]]) -> None:
    found = choices(grids)
    assert len(set(labels(found))) == len(found)


def test_a_label_names_what_differs_and_no_more() -> None:
    grid = {"precision": ["int8"], "threads": [DEFAULT, 2], "spec": [{"method": "ngram", "n": 4}, DEFAULT]}
    assert labels(choices([grid]), grid) == [
        "spec=method=ngram,n=4", "default", "threads=2 spec=method=ngram,n=4", "threads=2",
    ]  # fmt: skip


def test_true_is_not_one() -> None:
    assert len(choices([{"x": [True, 1, 1.0]}])) == 3
