"""Labels beside marks that lie close: none covers a mark or another label where there is room."""

from __future__ import annotations

import pytest

from tokgate.sweep.labels import sides

pytestmark = pytest.mark.unit


def test_a_label_stands_above_its_mark() -> None:
    assert sides([(0, 0), (100, 0), (0, 100)]) == ["top center"] * 3


def test_a_mark_just_below_another_has_its_label_beside_it() -> None:
    assert sides([(500, 260), (502, 250)]) == ["top center", "middle right"]


def test_a_label_makes_room_for_the_marks_above_and_beside_it() -> None:
    assert sides([(100, 100), (100, 115), (120, 100)])[0] == "middle left"


def test_labels_of_one_place_go_around_it_and_then_cover_each_other() -> None:
    found = sides([(100, 100)] * 5)
    assert len(set(found[:4])) == 4
    assert found[4] == "top center"


def test_of_no_marks_there_are_no_labels() -> None:
    assert sides([]) == []
