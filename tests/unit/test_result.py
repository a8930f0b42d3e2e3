"""What of a group's launches can be believed."""

from __future__ import annotations

import pytest

from tokgate.result import GroupResult
from tokgate.scenario import Group, Scenario
from tokgate.session import Accuracy

pytestmark = pytest.mark.unit

GROUP = Group("tiny", "tiny-dummy", "onnx", "fp32")
ONE, OTHER = Scenario(GROUP, 1, 5, 50).id, Scenario(GROUP, 8, 5, 50).id


def accuracy(max_logit_diff: float) -> Accuracy:
    return Accuracy(
        group=GROUP.id, reference="transformers fp32", positions=48, top1_agreement=1.0, logit_distance=1e-6,
        max_logit_diff=max_logit_diff, real_weights=False,
    )  # fmt: skip


def test_a_scenario_has_its_own_faults_and_not_those_of_its_neighbour() -> None:
    result = GroupResult(GROUP, faults={ONE: ["3 of 6 planned rounds are usable"], OTHER: []})
    assert result.faults_of(ONE) == ["3 of 6 planned rounds are usable"]
    assert not result.faults_of(OTHER)
    assert not result.faults_of("a scenario of which nothing is known")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"failed": "the onnx worker failed"}, f"{GROUP.id}: the onnx worker failed"),
        ({"other_faults": ["both sides loaded one version"]}, f"{GROUP.id}: both sides loaded one version"),
        ({"accuracy": accuracy(0.5)}, "logits differ"),
        ({"reference_accuracy": accuracy(0.5)}, "reference: tiny-dummy.onnx.fp32 against transformers fp32"),
    ],
)
def test_what_is_wrong_with_the_group_is_wrong_with_each_of_its_scenarios(change: dict[str, object], said: str) -> None:
    result = GroupResult(GROUP, faults={ONE: ["3 of 6 planned rounds are usable"]}, **change)
    assert said in result.faults_of(OTHER)[0]
    assert said in result.faults_of(ONE)[0]
    assert result.faults_of(ONE)[-1] == "3 of 6 planned rounds are usable"


def test_outputs_as_near_as_they_have_to_be_are_no_fault() -> None:
    assert not GroupResult(GROUP, accuracy=accuracy(1e-6), reference_accuracy=accuracy(1e-6)).faults_of(ONE)
