"""Replays: what a recording's launches are made into, and what is found of known launches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from prove.recordings import SCENARIOS, recording
from tokgate.cli import main
from tokgate.errors import InputError
from tokgate.prove.recording import INFLATIONS, PLAIN, write
from tokgate.prove.replay import Replayed, detectable, injections, situations_of
from tokgate.prove.trial import counted
from tokgate.session import Session, validate

pytestmark = pytest.mark.unit

RECORDING = recording()
PLACES = {
    tuple(launch.rows[0].launches[0]): place
    for place, launch in enumerate(RECORDING.launches)
}  # fmt: skip


def replayed(inflate: float) -> Replayed:
    return Replayed(RECORDING.head.machine, tuple(RECORDING.launches), inflate)


def places(session: Session) -> list[int]:
    """Which launches of the recording a session is made of."""
    return [PLACES[tuple(values)] for values in session.rows[0].launches]


def test_a_session_is_a_run_of_neighbouring_launches() -> None:
    plain = [place for place, launch in enumerate(RECORDING.launches) if launch.inflate == PLAIN]
    for seed in range(20):
        night = replayed(PLAIN).night(np.random.default_rng(seed))
        for session in [*night.past, night.now]:
            validate(session)
            first = plain.index(places(session)[0])
            assert places(session) == plain[first : first + 6]


def test_a_new_session_shares_no_launch_with_the_accepted_ones() -> None:
    for seed in range(50):
        night = replayed(PLAIN).night(np.random.default_rng(seed))
        assert not {place for session in night.past for place in places(session)} & set(places(night.now))


def test_an_inflated_night_is_made_of_inflated_launches_alone() -> None:
    night = replayed(0.05).night(np.random.default_rng(1))
    assert {RECORDING.launches[place].inflate for place in places(night.now)} == {0.05}
    assert {RECORDING.launches[place].inflate for session in night.past for place in places(session)} == {PLAIN}
    assert night.watched is not None
    assert night.watched[1] == "output_throughput"


@pytest.mark.parametrize("inflate", [PLAIN, 0.10])
def test_pairs_are_neighbours_in_time(inflate: float) -> None:
    medians = {sorted(launch.rows[0].launches[0])[1]: place for place, launch in enumerate(RECORDING.launches)}
    night = replayed(inflate).night(np.random.default_rng(3))
    pairs = night.pairs[SCENARIOS[0], "output_throughput"]
    assert len(pairs) == 12
    for reference, candidate in pairs:
        one, other = medians[reference], medians[candidate]
        assert RECORDING.launches[one].inflate == PLAIN
        assert RECORDING.launches[other].inflate == inflate
        between = RECORDING.launches[min(one, other) + 1 : max(one, other)]
        assert PLAIN not in {launch.inflate for launch in between}


def test_pairs_are_of_gated_rows() -> None:
    night = replayed(PLAIN).night(np.random.default_rng(1))
    assert {metric for _, metric in night.pairs} == {"output_throughput", "ttft"}


def test_a_slowdown_far_beyond_the_noise_is_caught_and_none_is_invented() -> None:
    for seed in range(5):
        plain = counted(replayed(PLAIN).night(np.random.default_rng(seed)), ("stored5", "paired"))
        slow = counted(replayed(0.10).night(np.random.default_rng(seed)), ("stored5", "paired"))
        assert (set(plain.values()), set(slow.values())) == ({False}, {True})


def test_injections_are_told_by_expectation_and_measurement() -> None:
    found = {(one.inflate, one.scenario): one for one in injections(RECORDING)}
    assert set(found) == {(inflate, scenario) for inflate in INFLATIONS for scenario in SCENARIOS}
    ten = found[0.10, SCENARIOS[0]]
    # 10 more tokens of 10 ms each on a call of 1.04 s.
    assert ten.expected_pct == pytest.approx(100 * 0.1 / 1.04, abs=0.1)
    assert ten.measured_pct == pytest.approx(ten.expected_pct, abs=1.0)
    assert ten.launches == 12


def test_minimum_detectable_changes_are_smaller_in_pairs() -> None:
    for row in detectable(RECORDING, seed=1):
        assert 2 < row.mde_pct["paired"] < row.mde_pct["stored5"]


def test_too_short_a_recording_is_refused() -> None:
    with pytest.raises(InputError, match="20 plain launches"):
        situations_of(recording(cycles=5))


def test_inflations_with_too_few_launches_have_no_line() -> None:
    few = recording(cycles=6)
    few.launches = [launch for launch in few.launches if launch.inflate in (PLAIN, 0.05)]
    assert [line.label for line in situations_of(few)] == ["unchanged", "5% more tokens"]


def test_the_command_prints_first_what_can_be_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(RECORDING, tmp_path / "r.json")
    assert main(["prove", "--recording", str(tmp_path / "r.json"), "--nights", "3", "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert out.index("minimum detectable") < out.index("more tokens to make") < out.index("unchanged")
    assert "10% more tokens" in out
    assert max(map(len, out.splitlines())) <= 100


def test_json_holds_what_was_injected_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(recording(cycles=6), tmp_path / "r.json")
    assert main(["prove", "--recording", str(tmp_path / "r.json"), "--nights", "1", "--jobs", "1", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {"inflate", "scenario", "launches", "expected_pct", "measured_pct"} == set(data["injections"][0])
    assert set(data["detectable"][0]["mde_pct"]) == {"stored5", "stored10", "paired"}
