"""What a sweep keeps: launches come back as they were, and another sweep's are not mixed in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.sweep.examples import candidate, made
from tokgate.errors import InputError
from tokgate.sweep.store import Store

pytestmark = pytest.mark.unit

IDENTITY: dict[str, Any] = {
    "file": {"rounds": 2, "grid": [{"threads": [1, 2]}]},
    "machine": {"id": "edge", "usable_cores": 2},
    "software": {"onnxruntime": "1.31.1"},
}
ONE = candidate(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "sweep")
    found.open(IDENTITY)
    return found


def test_a_launch_comes_back_as_it_was(store: Store) -> None:
    first, second = made(1, 1, ONE), made(2, 1, candidate(2), failed="it crashed\nhere")
    store.add(first)
    store.add(second)
    found, failed = store.launches()
    assert (found.pass_number, found.scenarios, found.wall_s) == (1, first.scenarios, 10.0)
    assert found.record == first.record
    assert failed == second
    assert store.next_number() == 3


def test_the_same_sweep_goes_on(store: Store) -> None:
    store.open(IDENTITY)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"software": {"onnxruntime": "1.30.0"}}, "software.onnxruntime 1.31.1 -> 1.30.0"),
        ({"machine": {"id": "edge", "usable_cores": 4}}, "machine.usable_cores 2 -> 4"),
        ({"file": {"rounds": 3, "grid": [{"threads": [1, 2]}]}}, "file.rounds 2 -> 3"),
        ({"software": {"onnxruntime": "1.31.1", "vllm": "0.26.0"}}, "software.vllm absent -> 0.26.0"),
    ],
)
def test_what_was_measured_of_something_else_is_not_mixed(store: Store, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match="begin anew with --fresh") as error:
        store.open({**IDENTITY, **change})
    assert said in str(error.value)


def test_what_a_killed_write_left_is_no_launch(store: Store) -> None:
    store.add(made(1, 1, ONE))
    (store.folder / "launches" / ".0002.json.x.tmp").write_text('{"half')
    assert len(store.launches()) == 1


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema": 1, "pass": "x", "scenarios": [], "wall_s": 1}'])
def test_a_launch_that_cannot_be_read_is_named(store: Store, content: str) -> None:
    path = store.add(made(1, 1, ONE))
    path.write_text(content)
    with pytest.raises(InputError, match=r"0001\.json.*remove it, and it is made again"):
        store.launches()


def test_a_folder_that_is_set_aside_is_kept(store: Store) -> None:
    store.add(made(1, 1, ONE))
    aside = store.set_aside()
    assert aside is not None
    assert len(Store(aside).launches()) == 1
    assert not store.exists
    assert store.set_aside() is None


def test_what_is_made_again_is_kept_aside_and_its_number_not_given_twice(store: Store) -> None:
    one = made(1, 1, ONE, failed="it crashed")
    store.add(one)
    store.forget([one])
    assert not store.launches()
    assert store.next_number() == 2


def test_launches_without_a_sweep_are_not_gone_on_with(store: Store) -> None:
    store.add(made(1, 1, ONE))
    (store.folder / "sweep.json").unlink()
    with pytest.raises(InputError, match="--fresh"):
        store.open(IDENTITY)
