"""Many nights: the same whatever the number of processes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tokgate.prove import situations
from tokgate.prove.nights import Simulated
from tokgate.prove.noise import Noise
from tokgate.prove.rates import Rate
from tokgate.prove.simulation import simulate
from tokgate.prove.situations import Situation

pytestmark = pytest.mark.unit

SMALL = Noise("gpu", session_sd=0.005, launch_sd=0.004, iteration_sd=0.01, rows=4)


def small(pct: int) -> Situation:
    effect = situations.SLOWER[pct]
    return Situation("gpu", f"1 row {pct}% slower", "small", Simulated(SMALL, effect), ("stored5", "paired", "welch"))


def rates(lines: list[Situation], nights: int = 25, seed: int = 3, jobs: int = 1) -> list[dict[str, Rate]]:
    return [dict(result.rates) for result in simulate(lines, nights, seed, jobs, lambda count: None)]


def test_two_processes_find_what_one_does() -> None:
    lines = [small(2), small(3)]
    assert rates(lines, jobs=2) == rates(lines, jobs=1)


def test_another_line_changes_none() -> None:
    (alone,) = rates([small(3)])
    assert rates([small(2), small(3)])[1] == alone


def test_another_seed_is_another_sample() -> None:
    assert rates([small(2)], seed=3) != rates([small(2)], seed=4)


def test_every_night_is_counted_once() -> None:
    heard: list[int] = []
    (result,) = simulate([replace(small(3), share=0.5)], 90, 1, 1, heard.append)
    assert sum(heard) == 45
    assert {rate.nights for rate in result.rates.values()} == {45}
