from __future__ import annotations

import io

import pytest
from rich.console import Console

from tokgate.gate.verdict import LimitVerdict, Outcome, SessionVerdict, SuiteVerdict
from tokgate.report.scorecard import label, render_score_cards

pytestmark = pytest.mark.unit

SCENARIO = "qwen2.5-0.5b.serve.fp16.eager.ngram.c50.p512.o512"


def limit(metric="output_throughput", bound="min", bound_value=3332.0, value=3400.0, unit="tok/s", weight_pct=40.0):
    broken = value is None or (value < bound_value if bound == "min" else bound == "max" and value > bound_value)
    return LimitVerdict(SCENARIO, metric, bound, bound_value, unit, "a guide", value, broken, "why", weight_pct)


def shown(*limits, outcome=Outcome.NO_BASELINE):
    verdict = SessionVerdict("run", outcome, (), SuiteVerdict(None, ()), tuple(limits))
    card = render_score_cards(verdict)
    if card is None:
        return None
    text = io.StringIO()
    Console(file=text, width=80, highlight=False).print(card)
    assert max(map(len, text.getvalue().splitlines())) <= 80
    assert "…" not in text.getvalue(), "nothing is cut off at 80 columns"
    return text.getvalue()


def test_the_card_shows_values_bounds_weights_and_the_sum():
    text = shown(
        limit(),
        limit("p99_tpot", "max", 50.0, 62.5, "ms", 20.0),
        limit("success_rate", "min", 100.0, 100.0, "%", 10.0),
        limit("mean_ttft", "reference", 406.0, 420.0, "ms", None),
    )
    assert "output throughput       3,400 tok/s at least 3,332 tok/s     40% kept     1.020x" in text
    assert "P99 TPOT                    62.5 ms at most 50 ms            20% BROKEN" in text
    assert "reference 406 ms" in text
    assert "kept 50% of the 70%" in text
    assert "the other 30% is for code quality, which no measurement has" in text


@pytest.mark.parametrize(("value", "seen"), [(3331.9, "3,331.9"), (3331.9996, "3,331.9996"), (27412.3, "27,412 ")])
def test_a_value_near_its_bound_shows_the_digits_that_decide(value, seen):
    assert seen in shown(limit(value=value))


def test_what_is_below_its_floor_never_reads_as_the_floor():
    text = shown(limit(value=3331.9))
    assert "0.999x" in text
    assert "BROKEN" in text


def test_what_was_not_measured_is_broken():
    assert "not measured" in shown(limit(value=None))


def test_an_invalid_result_has_no_card():
    text = shown(limit(), outcome=Outcome.INVALID)
    assert "no score card" in text
    assert "kept " not in text


def test_without_weights_there_is_nothing_to_score():
    assert shown(limit(weight_pct=None)) is None
    assert shown() is None


def test_metrics_are_named_as_the_field_does():
    assert [label(metric) for metric in ("p99_tpot", "output_throughput", "mean_ttft")] == [
        "P99 TPOT",
        "output throughput",
        "mean TTFT",
    ]
