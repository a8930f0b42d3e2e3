"""Unchanged nights of a folder as real ones are: two metrics of unlike noise, another matrix on nights of its own.

`tokgate prove` shows the rates themselves, of one matrix; here a defect that multiplies them would show.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from gate.examples import make_row, make_session, scenario, store
from tokgate.gate.judge import judge_session
from tokgate.gate.verdict import Outcome
from tokgate.session import Row, Session

pytestmark = pytest.mark.unit

SCENARIOS = 14
MACHINE = {"id": "nvidia-h200", "kind": "gpu"}
# Of throughput and of TTFT, which waits for the host; a quarter, which a provisional comparison allows, is far off.
SDS = (0.004, 0.03)


class Machine:
    """One machine: of each matrix the rows' own noise, half of which a night's rows have in common."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._sds: dict[str, np.ndarray] = {}

    def night(self, number: int, group: str, noise: float = 1.0) -> Session:
        rng = self._rng
        if group not in self._sds:
            self._sds[group] = noise * np.array(SDS)[:, None] * np.exp(rng.normal(0, 0.3, (2, SCENARIOS)))
        y = self._sds[group] * (math.sqrt(0.5) * rng.normal() + math.sqrt(0.5) * rng.normal(size=(2, SCENARIOS)))
        rows: list[Row] = []
        for place in range(SCENARIOS):
            name = scenario(place, group)
            rows.append(make_row([[1000 * math.exp(-y[0, place])]], scenario=name))
            seconds = 0.02 * math.exp(y[1, place])
            rows.append(make_row([[seconds]], scenario=name, metric="ttft", unit="s", better="lower"))
        return make_session(number, rows, machine=MACHINE)


def red_nights(accepted: int, nights: int) -> int:
    red = 0
    for seed in range(nights):
        machine = Machine(seed)
        own = [machine.night(number, "qwen2.5-7b-dummy.vllm.fp16") for number in range(accepted + 1)]
        others = [machine.night(20 + number, "qwen2.5-0.5b-dummy.vllm.fp16", 5.0) for number in range(5)]
        held = store([*own[:-1], *others], MACHINE["id"])
        red += judge_session(own[-1], held).outcome is Outcome.FAIL
    return red


@pytest.mark.parametrize("accepted", [2, 3, 5])
def test_hardly_an_unchanged_night_is_red(accepted: int) -> None:
    """At 1% more than 5 of 150 come four times in 1,000; nights are seeded, so it is always the same 150."""
    assert red_nights(accepted, 150) <= 5
