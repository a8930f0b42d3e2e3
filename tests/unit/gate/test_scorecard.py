from __future__ import annotations

from dataclasses import replace

import pytest

from gate.examples import scenario
from tokgate.gate.scorecard import ratio_to_floor, score_cards
from tokgate.gate.verdict import LimitVerdict

pytestmark = pytest.mark.unit


def line(metric="output_throughput", bound="min", limit=3332.0, value=3400.0, broken=False, weight_pct=40.0, number=0):
    return LimitVerdict(
        scenario(number), metric, bound, limit, "tok/s", "a guide", value, broken, "why", weight_pct=weight_pct
    )


GUIDE = [
    line(),
    line("p99_tpot", "max", 50.0, 60.0, broken=True, weight_pct=20.0),
    line("p99_ttft", "max", 2000.0, 1800.0, weight_pct=15.0),
    line("success_rate", "min", 100.0, 100.0, weight_pct=10.0),
    line("mean_ttft", "reference", 406.0, 500.0, weight_pct=None),
]


def test_the_card_sums_the_weights_that_were_kept():
    (card,) = score_cards(GUIDE)
    assert (card.kept_pct, card.weighed_pct) == (65, 85)
    assert [shown.metric for shown in card.lines][-1] == "mean_ttft", "references are shown"


def test_what_was_not_measured_is_not_kept():
    (card,) = score_cards([replace(GUIDE[0], value=None, broken=True), *GUIDE[2:]])
    assert card.kept_pct == 25


def test_a_scenario_without_weights_has_no_card_and_a_bound_without_weight_is_not_on_it():
    plain = [replace(limit, weight_pct=None) for limit in GUIDE]
    assert score_cards(plain) == []
    assert score_cards([]) == []
    (card,) = score_cards([*GUIDE, line("peak_memory", weight_pct=None)])
    assert "peak_memory" not in {shown.metric for shown in card.lines}


def test_each_scenario_has_its_own_card():
    cards = score_cards([*GUIDE, line(number=1)])
    assert [(card.scenario, card.weighed_pct) for card in cards] == [(scenario(0), 85), (scenario(1), 40)]


def test_the_ratio_is_of_the_value_to_its_floor():
    assert ratio_to_floor(line(value=6664.0)) == 2.0
    assert ratio_to_floor(line(value=None)) is None
    assert ratio_to_floor(line(limit=0.0)) is None
    assert ratio_to_floor(line(bound="max")) is None
