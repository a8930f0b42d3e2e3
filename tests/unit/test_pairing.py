"""The order of reference and candidate, and the pairs of their launches."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.gate.fingerprint import Difference
from tokgate.launch import LaunchRecord
from tokgate.metrics import Round
from tokgate.pairing import least_usable, order, other_outputs, pair_up, same_engine
from tokgate.scenario import Group, Scenario
from tokgate.session import Accuracy

pytestmark = pytest.mark.unit

GROUP = Group("tiny", "tiny-dummy", "onnx", "fp32")
ONE, EIGHT = Scenario(GROUP, 1, 5, 50), Scenario(GROUP, 8, 5, 50)
CAUSE = "others took 40% of the 2 cores"


def launch(*totals_s: float, scenarios: tuple[Scenario, ...] = (ONE,)) -> LaunchRecord:
    """A launch whose rounds took so long; without any, all its rounds were disturbed."""
    rounds = [Round(50, 1, 0.1, total_s, 1.0, 2**20) for total_s in totals_s]
    names = [scenario.id for scenario in scenarios]
    return LaunchRecord(
        rounds={name: rounds for name in names if rounds}, causes={name: [CAUSE] for name in names if not rounds}
    )


@given(st.integers(5, 60), st.text())
def test_each_pair_is_one_launch_of_each_side(pairs: int, seed: str) -> None:
    """And launches come pair by pair, so that the two of a pair are neighbours in time."""
    turns = order(pairs, seed)
    assert [turn.pair for turn in turns] == [pair for pair in range(pairs) for _ in range(2)]
    assert Counter((turn.pair, turn.side) for turn in turns).most_common(1)[0][1] == 1
    assert {turn.side for turn in turns} == {"reference", "candidate"}


@given(st.integers(5, 60), st.text())
def test_in_each_block_of_two_pairs_each_side_is_first_once(pairs: int, seed: str) -> None:
    """ABBA or BAAB: a drift that is the same from launch to launch cancels in every block."""
    turns = order(pairs, seed)
    for start in range(0, 4 * (pairs // 2), 4):
        sides = [turn.side for turn in turns[start : start + 4]]
        assert sides == sides[::-1]
        assert sides[0] != sides[1]


def test_the_seed_decides_which_side_begins_a_block() -> None:
    assert order(12, "night-1") == order(12, "night-1")
    first = Counter(turn.side for night in range(200) for turn in order(12, f"night-{night}")[::4])
    assert 500 < first["reference"] < 700, "600 of 1200 blocks if the coin is fair"


def test_a_pair_holds_the_launch_medians_reference_first() -> None:
    found = pair_up([ONE], [launch(2.0, 2.0, 9.0)] * 5, [launch(4.0, 4.0, 3.0)] * 5, 5)[ONE.id]
    assert found.values["e2el"] == [[2.0, 4.0]] * 5
    assert found.values["output_throughput"] == [[25.0, 12.5]] * 5
    assert found.faults == []
    assert found.note is None


@pytest.mark.parametrize("lost_by", ["reference", "candidate"])
def test_a_pair_without_an_undisturbed_round_on_one_side_is_dropped_and_told(lost_by: str) -> None:
    whole, lost = [launch(2.0)] * 6, [*[launch(2.0)] * 5, launch()]
    both = (lost, whole) if lost_by == "reference" else (whole, lost)
    found = pair_up([ONE], *both, 6)[ONE.id]
    assert len(found.values["ttft"]) == 5
    assert found.faults == []
    assert found.note == f"{ONE.id}: 5 of 6 pairs are usable; {CAUSE}"


@pytest.mark.parametrize(("planned", "least"), [(5, 5), (6, 5), (8, 6), (12, 8), (13, 9), (30, 20)])
def test_two_thirds_of_the_pairs_and_five_must_be_usable(planned: int, least: int) -> None:
    assert least_usable(planned) == least
    for usable, faults in ((least, 0), (least - 1, 1)):
        references = [*[launch(2.0)] * usable, *[launch()] * (planned - usable)]
        found = pair_up([ONE], references, [launch(2.0)] * planned, planned)[ONE.id]
        assert len(found.faults) == faults
    assert f"{least - 1} of {planned} pairs are usable, at least {least} are needed; {CAUSE}" in found.faults[0]


def test_pair_n_is_of_the_same_minutes_in_all_rows() -> None:
    """The gate averages rows pair by pair: what one row lacks, the others leave out."""
    both = (ONE, EIGHT)
    references = [launch(float(n), scenarios=both) for n in range(1, 13)]
    references[3] = launch(4.0, scenarios=(ONE,))
    found = pair_up(both, references, [launch(1.0, scenarios=both)] * 12, 12)
    assert [pair[0] for pair in found[ONE.id].values["e2el"]] == [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]
    assert found[ONE.id].values["e2el"] == found[EIGHT.id].values["e2el"]


def test_a_row_that_was_always_disturbed_takes_no_pairs_from_the_others() -> None:
    found = pair_up([ONE, EIGHT], [launch(2.0)] * 12, [launch(2.0, scenarios=(ONE, EIGHT))] * 12, 12)
    assert len(found[ONE.id].values["e2el"]) == 12
    assert found[ONE.id].faults == []
    assert found[EIGHT.id].faults
    assert found[EIGHT.id].values == {}


def test_launches_that_were_never_made_are_pairs_that_are_missing() -> None:
    """As after a Ctrl-C."""
    found = pair_up([ONE], [launch(2.0)] * 3, [launch(2.0)] * 2, 12)[ONE.id]
    assert len(found.values["e2el"]) == 2
    assert "2 of 12 pairs are usable" in found.faults[0]


def test_a_metric_that_a_launch_lacks_makes_no_pairs_and_breaks_none() -> None:
    """Energy is left out of a round in which its counter did not move."""

    def with_energy(*energies_j: float | None) -> LaunchRecord:
        return LaunchRecord(rounds={ONE.id: [Round(50, 1, 0.1, 2.0, 1.0, 1, energy_j=joule) for joule in energies_j]})

    whole, none = with_energy(5.0, 5.0), with_energy(None, 5.0)
    assert pair_up([ONE], [whole] * 5, [whole] * 5, 5)[ONE.id].values["energy_per_token"] == [[0.1, 0.1]] * 5
    found = pair_up([ONE], [whole] * 5, [none] * 5, 5)[ONE.id]
    assert "energy_per_token" not in found.values
    assert len(found.values["e2el"]) == 5
    assert found.faults == []
    gated = replace(ONE, gated=("e2el", "energy_per_token"))
    for sides, whose in (([none], [whole]), "reference: "), (([whole], [none]), ""):
        (fault,) = pair_up([gated], sides[0] * 5, sides[1] * 5, 5)[ONE.id].faults
        assert fault.startswith(f"{whose}5 of 10 rounds have no energy_per_token, which is gated")


@pytest.mark.parametrize("side", [0, 1])
def test_unequal_work_on_either_side_is_a_fault(side: int) -> None:
    short = launch(2.0)
    short.unequal[ONE.id] = "the engine made 49 output tokens; planned were 50"
    sides = [[launch(2.0)] * 12, [launch(2.0)] * 12]
    sides[side][7] = short
    (fault,) = pair_up([ONE], sides[0], sides[1], 12)[ONE.id].faults
    assert "49" in fault
    assert fault.startswith("reference: ") is (side == 0)


def accuracy(top1_agreement: float, logit_distance: float) -> Accuracy:
    return Accuracy(
        group=GROUP.id, reference="transformers fp32", positions=48, top1_agreement=top1_agreement,
        logit_distance=logit_distance, max_logit_diff=0.1, real_weights=False,
    )  # fmt: skip


def test_a_candidate_that_computes_something_else_is_no_faster() -> None:
    reference = accuracy(0.30, 0.10)
    assert other_outputs(reference, reference) == []
    assert other_outputs(reference, accuracy(0.95, 0.01)) == [], "nearer to FP32 is no fault"
    assert "top-1 agrees in 10%, in 30% with the reference" in other_outputs(reference, accuracy(0.10, 0.10))[0]
    assert "logits are 2.0e-01 apart" in other_outputs(reference, accuracy(0.30, 0.20))[0]


def test_two_environments_that_load_one_engine_are_found_out() -> None:
    """PYTHONPATH reaches the workers of both sides."""
    differs = [Difference("software", "onnxruntime", "1.30.0", "1.31.1"), Difference("software", "torch", "1", "2")]
    newer = [LaunchRecord(engine={"onnxruntime": "1.31.1", "threads": "2"})]
    older = [LaunchRecord(engine={"onnxruntime": "1.30.0", "threads": "2"})]
    assert same_engine(older, newer, differs) == []
    assert same_engine(newer, newer, []) == [], "an A/A run"
    (fault,) = same_engine(newer, newer, differs)
    assert "both sides loaded onnxruntime 1.31.1" in fault
    assert same_engine([], newer, differs) == []
