"""The synthetic noise is what it says: its moments, and its seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tokgate.prove.noise import NO_EFFECT, Draw, Effect, Noise, draw
from tokgate.prove.situations import CPU, GPU

pytestmark = pytest.mark.unit

QUIET = Noise("gpu", session_sd=0.0, launch_sd=0.0, iteration_sd=0.0)


def drawn(noise: Noise, effect: Effect = NO_EFFECT, sessions: int = 40, pairs: int = 12, seed: int = 1) -> Draw:
    return draw(noise, effect, sessions, pairs, np.random.default_rng(seed))


def test_each_level_has_its_own_sd() -> None:
    past = drawn(replace(GPU, session_sd_spread=0.0), sessions=200).past
    assert past.shape == (200, 24, 6, 10)
    assert past.std(axis=3, ddof=1).mean() == pytest.approx(0.01, rel=0.05)
    of_launches = past.mean(axis=3).std(axis=2, ddof=1)
    assert np.sqrt((of_launches**2).mean()) == pytest.approx(np.hypot(0.004, 0.01 / np.sqrt(10)), rel=0.05)
    of_sessions = past.mean(axis=(2, 3)).std(axis=0, ddof=1)
    assert np.sqrt((of_sessions**2).mean()) == pytest.approx(0.0055, rel=0.1), "0.5% and what launches leave of theirs"


def test_session_sds_differ_between_rows_by_the_spread() -> None:
    noise = replace(QUIET, session_sd=0.005, session_sd_spread=0.5, rows=400, launches=1, iterations=1)
    sds = np.log(drawn(noise, sessions=200).past[..., 0, 0].std(axis=0, ddof=1))
    assert np.exp(np.median(sds)) == pytest.approx(0.005, rel=0.1)
    assert sds.std() == pytest.approx(0.5, rel=0.15)


def test_a_night_is_common_to_its_rows() -> None:
    past = drawn(replace(QUIET, night_sd=0.01), sessions=300).past[..., 0, 0]
    assert np.ptp(past, axis=1).max() < 1e-12
    assert past[:, 0].std() == pytest.approx(0.01, rel=0.15)


def test_drift_walks() -> None:
    steps = np.diff(drawn(replace(QUIET, drift_sd=0.003), sessions=300).past[:, 0, 0, 0])
    assert steps.std() == pytest.approx(0.003, rel=0.15)


@pytest.mark.parametrize("together", [False, True])
def test_contamination_slows_its_share_of_launches_and_nothing_else(together: bool) -> None:
    noise = replace(QUIET, contaminated_share=0.08, contaminated_by=0.40, contaminated_together=together)
    past = drawn(noise, sessions=200).past
    launches = past[..., 0]
    assert np.ptp(past, axis=3).max() == 0, "a launch is slowed as a whole"
    assert (launches > 0).mean() == pytest.approx(0.08, rel=0.25)
    assert launches.min() >= 0
    assert np.expm1(launches.max()) == pytest.approx(0.40, abs=0.02)
    assert bool(np.ptp(launches, axis=1).max() == 0) is together


def test_two_modes_are_their_distance_apart() -> None:
    past = drawn(replace(QUIET, bimodal_share=0.3, bimodal_distance=0.02)).past[..., 0]
    assert set(np.round(np.expm1(past).ravel(), 9)) == {0.0, 0.02}
    assert (past > 0).mean() == pytest.approx(0.3, abs=0.03)


def test_a_slowdown_meets_one_row_and_the_candidate_of_its_pairs() -> None:
    found = drawn(QUIET, Effect(0.05))
    assert found.watched == 0
    assert np.exp(found.now[0]) == pytest.approx(1.05)
    assert not found.now[1:].any()
    assert not found.past.any()
    assert np.exp(found.pairs[0, :, 1] - found.pairs[0, :, 0]) == pytest.approx(1.05)
    assert not found.pairs[1:].any()


def test_a_slowdown_of_all_rows_and_an_improvement_watch_none() -> None:
    slower = drawn(QUIET, Effect(0.02, all_rows=True))
    assert np.exp(slower.now) == pytest.approx(1.02)
    assert slower.watched is None
    assert drawn(QUIET, Effect(-0.05)).watched is None, "its rate is that of red nights"


def test_variance_alone_moves_no_level() -> None:
    found = drawn(replace(QUIET, iteration_sd=0.01, launch_sd=0.01, iterations=400), Effect(0, False, 2.0, 3.0))
    assert found.now.std(axis=2).mean() == pytest.approx(0.03, rel=0.05)
    assert found.now.mean(axis=2).std() == pytest.approx(0.02, rel=0.25)
    assert found.now.mean() == pytest.approx(0, abs=0.006)


def test_pairs_share_the_night() -> None:
    pairs = drawn(replace(CPU, contaminated_share=0.0, session_sd=0.5, night_sd=0.5), pairs=200).pairs
    assert (pairs[..., 1] - pairs[..., 0]).std() < 0.05


def test_the_seed_decides() -> None:
    one, same, other = (drawn(CPU, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.now, same.now)
    assert not np.array_equal(one.now, other.now)
