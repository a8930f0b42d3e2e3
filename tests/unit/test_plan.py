"""Launch plans: what a worker reads, and the order it measures in."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.plan import PLAN_SCHEMA, LaunchPlan, PlanRow

pytestmark = pytest.mark.unit


def plan(rows: int = 3, rounds: int = 2, seed: int = 0) -> LaunchPlan:
    return LaunchPlan(
        schema=PLAN_SCHEMA, engine="onnx", model_dir="/models/x", vocab_size=100, settings={"a": True}, threads=2,
        rounds=rounds, repeats=1, order_seed=seed, prompt_seed=1,
        rows=tuple(PlanRow(f"s{number}", 2, 5, 50) for number in range(rows)),
    )  # fmt: skip


def test_a_plan_comes_back_as_it_was_written(tmp_path: Path) -> None:
    plan().write(tmp_path / "plan.json")
    assert LaunchPlan.read(tmp_path / "plan.json") == plan()


def test_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    plan().write(path)
    path.write_text(path.read_text().replace(f'"schema": {PLAN_SCHEMA}', '"schema": 99'))
    with pytest.raises(ValueError, match="99"):
        LaunchPlan.read(path)


@given(st.integers(1, 8), st.integers(1, 5), st.integers(0, 1000))
def test_every_row_is_measured_once_a_round(rows: int, rounds: int, seed: int) -> None:
    order = list(plan(rows, rounds, seed).order())
    assert Counter(order) == Counter((number, row) for number in range(rounds) for row in plan(rows).rows)
    assert [number for number, _ in order] == sorted(number for number, _ in order)


def test_rounds_differ_in_their_order() -> None:
    """A fixed order would give each row the same neighbour, and its heat and caches, every time."""
    names = [row.scenario for _, row in plan(rows=6, rounds=2).order()]
    assert names[:6] != names[6:]
