"""Launch plans: what a worker reads, and the order it measures in."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tokgate.engines import Generation
from tokgate.machine.watch import CpuWatch
from tokgate.plan import PLAN_SCHEMA, Asked, LaunchPlan, PlanRow, ServerPlan, Traffic
from tokgate.worker import Launch

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


def test_a_plan_of_rows_that_ask_otherwise_comes_back_as_it_was_written(tmp_path: Path) -> None:
    row = PlanRow("sampled", 2, 5, 50, asked=Asked("repetitive", {"temperature": 1.0, "seed": 7}))
    written = replace(plan(), rows=(*plan().rows, row))
    written.write(tmp_path / "plan.json")
    assert LaunchPlan.read(tmp_path / "plan.json") == written
    assert [each.asked.keywords for each in written.rows[-2:]] == [{}, {"sampling": {"temperature": 1.0, "seed": 7}}]


def test_a_serving_plan_comes_back_as_it_was_written(tmp_path: Path) -> None:
    row = PlanRow("open", 50, 512, 512, Traffic(200, "mixed", 0.8))
    written = replace(plan(), rows=(row,), server=ServerPlan("m", python="/env/bin/python", log="/logs/1"))
    written.write(tmp_path / "plan.json")
    assert LaunchPlan.read(tmp_path / "plan.json") == written


def test_a_plan_of_before_gpus_is_one_for_the_cpu(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    plan().write(path)
    known = json.loads(path.read_text())
    for name in ("device", "gpus", "measure_peaks", "silence_s"):
        del known[name]
    path.write_text(json.dumps(known))
    read = LaunchPlan.read(path)
    assert (read.device, read.measure_peaks) == ("cpu", True)


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


def test_inflated_work_is_a_whole_number_of_tokens() -> None:
    row = PlanRow("s", 2, 5, 50)
    assert [replace(plan(), inflate=share).extra_len(row) for share in (0.0, 0.02, 0.1, 0.3)] == [0, 1, 5, 15]
    for share in (0.03, 0.05, -0.02):
        with pytest.raises(ValueError, match="whole number"):
            replace(plan(), inflate=share).extra_len(row)


class Engine:
    """Makes the tokens it is asked for, but `short` of them."""

    def __init__(self, short: int = 0) -> None:
        self.asked: list[int] = []
        self._short = short

    def generate(self, prompts: NDArray[np.int64], output_len: int) -> Generation:
        self.asked.append(output_len)
        tokens = np.ones((len(prompts), output_len), np.int64)
        tokens[0, output_len - self._short :] = -1
        return Generation(tokens, 0.1, 1.0)


@pytest.mark.parametrize("short", [0, 1])
def test_an_inflated_launch_is_credited_with_the_planned_tokens_if_it_made_all_of_its_own(short: int) -> None:
    """A slower engine would have made the planned ones: the whole call is timed, the rest is not counted."""
    inflated = replace(plan(rows=1), inflate=0.1)
    launch = Launch(inflated, lambda event: None, CpuWatch(1))
    engine = launch._engine = Engine(short)
    event = launch._measure(0, inflated.rows[0])
    assert engine.asked == [55]
    assert event["output_tokens"] == inflated.rows[0].output_tokens - short
