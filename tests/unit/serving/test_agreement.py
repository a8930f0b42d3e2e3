"""Whether two load clients agree, and which was late."""

from __future__ import annotations

import pytest

from tokgate.serving.agreement import Agreement

pytestmark = pytest.mark.unit

THEIRS = {"output_throughput": 25000.0, "mean_tpot": 0.002, "mean_ttft": 0.092}


def agreement(**changes: float) -> Agreement:
    return Agreement({**THEIRS, "mean_ttft": 0.065, **changes}, THEIRS)


def test_clients_that_agree_have_no_fault_and_the_later_one_is_named_all_the_same() -> None:
    assert agreement(output_throughput=25700.0).faults(most_pct=3) == []
    assert "vllm bench serve was the later one, by 27 ms of TTFT" in str(agreement())


@pytest.mark.parametrize("change", [{"output_throughput": 24000.0}, {"mean_tpot": 0.00207}])
def test_more_than_three_percent_apart_is_a_fault(change: dict[str, float]) -> None:
    (fault,) = agreement(**change).faults(most_pct=3)
    assert "expected within 3%; vllm bench serve was the later one" in fault


def test_a_later_ttft_of_ours_is_a_fault_however_small() -> None:
    (fault,) = agreement(mean_ttft=0.093).faults(most_pct=3)
    assert fault.endswith("tokgate's client was the later one, by 1 ms of TTFT")


def test_how_far_apart_two_clients_are_is_a_factor_whichever_is_the_larger() -> None:
    assert agreement(mean_ttft=0.092).factor == 1.0
    assert agreement(mean_ttft=0.092, mean_tpot=0.006).factor == pytest.approx(3.0)
    assert agreement(mean_ttft=0.092, mean_tpot=0.0005).factor == pytest.approx(4.0)
    assert agreement(output_throughput=25000.0 / 32).factor == pytest.approx(32.0)
