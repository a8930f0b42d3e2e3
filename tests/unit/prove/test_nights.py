"""From arrays to what `tokgate accept` leaves: nothing is lost on the way."""

from __future__ import annotations

import numpy as np
import pytest

from tokgate.gate.scale import launch_values
from tokgate.prove.nights import Simulated, accepted, newest
from tokgate.prove.noise import Effect
from tokgate.prove.situations import CPU, GPU
from tokgate.session import validate

pytestmark = pytest.mark.unit


def test_its_sessions_are_valid_ones() -> None:
    night = Simulated(CPU, Effect(0.05)).night(np.random.default_rng(1))
    for session in [*night.past, night.now, night.in_pairs(list(night.pairs))]:
        validate(session)
    assert len({session.id for session in [*night.past, night.now]}) == 11


def test_the_store_holds_the_launch_values_of_every_session() -> None:
    night = Simulated(GPU, Effect()).night(np.random.default_rng(1))
    store = accepted(night.past)
    for row in night.past[3].rows:
        entry = store.scenarios[row.scenario][3]
        assert entry.rows[row.metric].launches == launch_values(row.launches)


def test_the_newest_sessions_are_the_last_ones() -> None:
    store = accepted(Simulated(GPU, Effect()).night(np.random.default_rng(1)).past)
    kept = newest(store, 5)
    assert [entry.id for entry in next(iter(kept.scenarios.values()))] == [f"night-{day:02d}" for day in range(5, 10)]


def test_only_the_rows_asked_for_have_pairs() -> None:
    night = Simulated(GPU, Effect(0.03)).night(np.random.default_rng(1))
    assert night.watched is not None
    paired = [row for row in night.in_pairs([night.watched]).rows if row.pairs]
    assert [row.key for row in paired] == [night.watched]
    assert np.shape(paired[0].pairs) == (12, 2)


def test_a_slower_row_makes_fewer_tokens() -> None:
    night = Simulated(GPU, Effect(0.5)).night(np.random.default_rng(1))
    before, now = night.past[-1].rows[0], night.now.rows[0]
    assert np.median(before.launches) / np.median(now.launches) == pytest.approx(1.5, rel=0.03)
