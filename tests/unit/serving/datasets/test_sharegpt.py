from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.serving.datasets.tokenizers import Words
from tokgate.errors import InputError
from tokgate.serving.datasets.sharegpt import samples

pytestmark = pytest.mark.unit


def words(count: int) -> str:
    return " ".join(["w9"] * count)


def conversation(*lengths: int) -> dict[str, Any]:
    return {"conversations": [{"from": "human", "value": words(length)} for length in lengths]}


def written(folder: Path, *entries: Any) -> Path:
    path = folder / "sharegpt.json"
    path.write_text(json.dumps(list(entries)))
    return path


def lengths(path: Path, count: int, **options: Any) -> list[tuple[int, int]]:
    return [(sample.prompt_len, sample.output_len) for sample in samples(Words(), path, count, seed=0, **options)]


def test_the_first_turn_is_the_prompt_and_the_second_the_length_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, conversation(10, 20, 30), conversation(40, 50))
    assert lengths(path, 2, shuffle=False) == [(10, 20), (40, 50)]
    assert lengths(path, 2, shuffle=False, output_len=7) == [(10, 7), (40, 7)]


def test_turns_out_of_bounds_are_left_out(tmp_path: Path) -> None:
    path = written(
        tmp_path, {"id": "x"}, conversation(10), conversation(3, 9), conversation(9, 3), conversation(1025, 9),
        conversation(1000, 1049), conversation(1000, 1048),
    )  # fmt: skip
    assert lengths(path, 1) == [(1000, 1048)]
    # An output length that is given is no sign of a bad entry.
    assert set(lengths(path, 9, output_len=2)) == {(9, 2), (1000, 2)}


def test_a_small_file_is_sent_again_but_where_told_not_to(tmp_path: Path) -> None:
    path = written(tmp_path, conversation(10, 20), conversation(40, 50))
    assert len(lengths(path, 9)) == 9
    assert set(lengths(path, 9)) == {(10, 20), (40, 50)}
    assert len(lengths(path, 9, oversample=False)) == 2


def test_the_seed_decides_the_order(tmp_path: Path) -> None:
    path = written(tmp_path, *(conversation(length, 9) for length in range(4, 40)))
    assert lengths(path, 36) == lengths(path, 36) != lengths(path, 36, shuffle=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "expected a list of"),
        ("[1]", "expected a list of"),
        ('[{"conversations": [{"x": 1}, {"x": 2}]}]', "no 'value' where one should be"),
        ("[]", "no usable prompt there"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        lengths(path, 1)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: no such file; expected a list"):
        lengths(tmp_path / "none.json", 1)
