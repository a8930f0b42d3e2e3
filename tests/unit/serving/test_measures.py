from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.serving.runs import failure, requests_of, run, success
from tokgate.plan import PlanRow
from tokgate.serving.figures import figures_of
from tokgate.serving.load import LoadResult
from tokgate.serving.measures import Measures, measure
from tokgate.serving.record import Failure

pytestmark = pytest.mark.unit


def measured(result: LoadResult, **goodput_ms: float) -> Measures:
    return measure(result, requests_of(result), goodput_ms or None)


TWO = run(success(0, 0.0, 0.4, 0.6, 1.0), success(1, 0.1, 0.3, 1.3))


def test_latencies_are_counted_from_sending() -> None:
    times_s = measured(TWO).times_s
    assert times_s["ttft"] == pytest.approx([0.4, 0.2])
    assert times_s["tpot"] == pytest.approx([0.3, 1.0])
    assert times_s["itl"] == pytest.approx([0.2, 0.4, 1.0])
    assert times_s["e2el"] == pytest.approx([1.0, 1.2])


def test_throughputs_are_over_the_whole_run_and_only_of_successes() -> None:
    one_failed = run(*TWO.records, failure(2, Failure.RESET, "gone", 0.1, 0.2))
    found = measured(one_failed)
    assert (found.requests, found.completed, found.failed) == (3, 2, 1)
    assert (found.total_input_tokens, found.total_output_tokens) == (10, 5)
    assert found.output_throughput == pytest.approx(0.5)
    assert found.request_throughput == pytest.approx(0.2)
    assert found.total_token_throughput == pytest.approx(1.5)
    assert found.success_pct == pytest.approx(200 / 3)
    assert found.times_s == measured(TWO).times_s


def test_a_run_that_took_no_time_has_rates_of_0() -> None:
    found = measured(run(failure(0, Failure.CANCELLED), duration_s=0.0), ttft=100.0)
    assert (found.request_throughput, found.output_throughput, found.total_token_throughput) == (0.0, 0.0, 0.0)
    assert found.request_goodput == 0.0


def test_an_itl_in_doubt_keeps_its_mean_and_median() -> None:
    late = replace(TWO, health=replace(TWO.health, loop_lag_p99_s=0.3))
    found = measured(late)
    assert found.itl_doubt is not None
    itl, sure = found.statistics("itl", [50.0, 99.0]), measured(TWO).statistics("itl", [50.0, 99.0])
    assert itl is not None
    assert sure is not None
    assert (itl.mean, itl.median, itl.percentiles[50.0]) == (sure.mean, sure.median, sure.percentiles[50.0])
    assert np.isnan([itl.std, itl.percentiles[99.0]]).all()
    assert not np.isnan([sure.std, sure.percentiles[99.0]]).any()
    assert found.statistics("tpot", [99.0]) == measured(TWO).statistics("tpot", [99.0])
    figures = figures_of(PlanRow("row", 2, 5, 3), requests_of(late), late)
    assert {"itl", "mean_itl", "p99_itl", "p99_tpot"} & figures.keys() == {"itl", "mean_itl", "p99_tpot"}


def test_tokens_are_the_servers_and_not_messages() -> None:
    found = measured(run(success(0, 0.0, 0.4, 0.6, 1.0, output_tokens=13)))
    assert found.total_output_tokens == 13
    assert found.times_s["tpot"] == pytest.approx([0.6 / 12])
    assert found.max_output_tokens_per_s == pytest.approx(13 * 2 / 3)


def test_a_prompt_that_the_server_did_not_count_is_as_long_as_planned() -> None:
    assert measured(run(success(0, 0.0, 0.4, prompt_tokens=None))).total_input_tokens == 4


def test_of_a_single_token_there_is_no_time_per_output_token() -> None:
    found = measured(run(success(0, 0.0, 0.4)), tpot=0.0)
    assert found.statistics("tpot", [99]) is None
    assert found.statistics("itl", [99]) is None
    assert found.request_goodput == pytest.approx(0.1), "vLLM takes it for 0 there"


def test_waiting_in_the_client_counts_from_when_a_request_was_due() -> None:
    found = measured(run(success(0, 2.0, 2.4, 3.0, due_s=100.5))).times_s
    assert found["client_queue_time"] == pytest.approx([1.5])
    assert found["ttft"] == pytest.approx([0.4])
    assert found["ttft_from_due"] == pytest.approx([1.9])
    assert found["e2el_from_due"] == pytest.approx([2.5])


@pytest.mark.parametrize(
    ("bounds", "good"),
    [
        ({"ttft": 200.1}, 1),
        ({"ttft": 400.1}, 2),
        ({"ttft": 199.9}, 0),
        ({"tpot": 300.1}, 1),
        ({"e2el": 1000.1}, 1),
        ({"ttft": 200.1, "tpot": 300.1}, 0),
        ({"ttft": 400.1, "tpot": 1000.1, "e2el": 1200.1}, 2),
    ],
)
def test_a_good_request_keeps_every_bound(bounds: dict[str, float], good: int) -> None:
    assert measured(TWO, **bounds).request_goodput == pytest.approx(good / 10)


@pytest.mark.parametrize(
    ("bounds", "good"),
    [({"ttft": 500}, 1), ({"ttft": 1901}, 2), ({"e2el": 2499}, 1), ({"e2el": 2501}, 2), ({"tpot": 601}, 2)],
)
def test_goodput_from_due_has_the_wait_in_ttft_and_e2el(bounds: dict[str, float], good: int) -> None:
    found = measured(run(success(0, 0.0, 0.4, 1.0), success(1, 2.0, 2.4, 3.0, due_s=100.5)), **bounds)
    assert found.request_goodput == pytest.approx(0.2)
    assert found.goodput_from_due == pytest.approx(good / 10)


def test_without_bounds_there_is_no_goodput() -> None:
    assert (measured(TWO).request_goodput, measured(TWO).goodput_from_due) == (None, None)


def test_the_busiest_second_counts_from_the_first_request() -> None:
    result = run(success(0, 0.5, 0.6, 1.4, 1.6), success(1, 0.7, 1.7, 2.4))
    assert measured(result).max_output_tokens_per_s == 3


def test_the_peak_of_open_requests_is_the_one_that_was_counted() -> None:
    """vLLM's adds up all that were open in the same second, which may be more than it allowed."""
    follow = [success(number, 0.1 * number, 0.1 * number + 0.09) for number in range(5)]
    assert measured(run(*follow, peak=1)).max_concurrent_requests == 1


def test_failures_are_counted_by_kind_the_most_frequent_first_with_what_was_said_first() -> None:
    result = run(
        failure(0, Failure.HTTP_5XX, "503"), failure(1, Failure.RESET), failure(2, Failure.RESET, "peer"),
        failure(3, Failure.RESET, "other"),
    )  # fmt: skip
    found = measured(result)
    assert [(each.kind, each.count, each.first) for each in found.failures] == [
        (Failure.RESET, 3, "peer"),
        (Failure.HTTP_5XX, 1, "503"),
    ]


def test_where_all_failed_nothing_was_measured() -> None:
    found = measured(run(failure(0, Failure.REFUSED)))
    assert (found.completed, found.output_throughput, found.max_output_tokens_per_s) == (0, 0, 0)
    assert all(found.statistics(metric, [50]) is None for metric in found.times_s)


@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=30), st.floats(0, 100))
def test_statistics_are_numpys_in_milliseconds(ttfts_s: list[float], percentile: float) -> None:
    result = run(*(success(number, 0.0, ttft_s) for number, ttft_s in enumerate(ttfts_s)))
    found = measured(result).statistics("ttft", [percentile])
    assert found is not None
    assert found.mean == pytest.approx(1000 * np.mean(ttfts_s))
    assert found.median == pytest.approx(1000 * np.median(ttfts_s))
    assert found.std == pytest.approx(1000 * np.std(ttfts_s), abs=1e-6)
    assert found.percentiles[percentile] == pytest.approx(1000 * np.percentile(ttfts_s, percentile))
