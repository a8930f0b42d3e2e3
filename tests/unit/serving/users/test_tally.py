"""From requests to figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.serving.users.tally import LoadTest, LocustProcess, UserRequest, locust_fault, tally, told

pytestmark = pytest.mark.unit


def success(sent_at: float, e2el_s: float = 1.0, **told: Any) -> UserRequest:
    return UserRequest(sent_at, e2el_s, prompt_tokens=7, output_tokens=100, **told)


REFUSED = UserRequest(12.0, 0.1, failure="connection refused", detail="Errno 111")
UNFINISHED = UserRequest(19.0, 5.0, unfinished=True)


def test_every_request_counts_once() -> None:
    found = tally([success(10), REFUSED, success(13, 2.0), REFUSED])
    assert (found.requests, found.succeeded, found.failed, found.unfinished) == (4, 2, 2, 0)
    assert found.failures == {"connection refused": 2}
    assert found.duration_s == 5.0
    assert (found.prompt_tokens, found.output_tokens) == (14, 200)
    assert found.fault() == "2 of 4 requests failed: connection refused (2: Errno 111); see the server's log"


def test_failures_by_another_vocabulary_name_the_remedy() -> None:
    refused = UserRequest(12.0, 0.1, failure="HTTP 4xx", detail="Token id 136509 is out of vocabulary")
    assert "name the model that it serves, --perf-model=DIR" in str(tally([success(10), refused]).fault())


def test_a_request_that_was_cut_off_makes_the_times_of_the_others_too_short() -> None:
    """The slower the server, the more of them there are: without a fault a slowdown would hide itself."""
    assert tally([success(10)]).fault() is None
    assert "1 requests had no answer" in str(tally([success(10), UNFINISHED]).fault())
    begun = UserRequest(19.0, 0.001, unfinished=True)
    assert tally([success(10), begun]).fault() is None, "its user was stopped while it thought"
    assert tally([success(10), begun]).unfinished == 1
    after_end = UserRequest(19.0, 5.0, unfinished=True, after_end=True)
    assert tally([success(10), after_end]).fault() is None, "longer than the quickest, and sent when all was over"
    assert tally([success(10), after_end]).unfinished == 1
    both = str(tally([success(10), REFUSED, UNFINISHED]).fault())
    assert both.startswith("1 of 2 requests failed")
    assert "1 requests had no answer" in both


def test_figures_are_of_successes_over_the_time_from_the_first_request_to_the_last_answer() -> None:
    found = tally([success(10, 1.0, ttft_s=0.1, tpot_s=0.01), success(11, 3.0, ttft_s=0.3, tpot_s=0.03)]).figures()
    assert found["request_throughput"] == 0.5
    assert found["output_throughput"] == 50.0
    assert found["success_rate"] == 100.0
    assert found["e2el"] == 2.0
    assert found["ttft"] == pytest.approx(0.2)
    assert found["p99_tpot"] == pytest.approx(np.percentile([0.01, 0.03], 99))


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=50))
def test_percentiles_are_of_every_request(times_s: list[float]) -> None:
    """Locust itself rounds beyond 100 ms to two digits."""
    found = tally([success(0, time_s) for time_s in times_s]).figures()
    for percent in (90, 95, 99):
        assert found[f"p{percent}_e2el"] == pytest.approx(np.percentile(times_s, percent))


def test_without_streams_there_is_no_first_token() -> None:
    assert not {"ttft", "tpot"} & tally([success(0)]).figures().keys()


def test_a_test_in_which_nothing_ended_says_so() -> None:
    found = tally([UNFINISHED])
    assert found.figures() == {}
    assert "no request ended" in str(found.fault())


def test_locust_is_believed_up_to_four_fifths_of_a_core() -> None:
    kept_up = LocustProcess("host 1", 8.0, 10.0, 0.8)
    assert locust_fault([kept_up], 1) is None
    late = LocustProcess("host 2", 3.0, 10.0, 0.81)
    assert "Locust used 81% of a core (limit 80%)" in str(locust_fault([kept_up, late], 2))
    assert "pytest's --perf-load-workers=3" in str(locust_fault([kept_up, late], 2))


@pytest.mark.parametrize("heard", [0, 1])
def test_a_process_of_locusts_that_told_nothing_leaves_requests_out(heard: int) -> None:
    told_s = [LocustProcess("host", 1.0, 10.0, 0.1)] * heard
    assert f"{heard} of 2 of Locust's processes told" in str(locust_fault(told_s, 2))


def test_what_is_told_of_a_round() -> None:
    requests = [success(10), REFUSED, UNFINISHED]
    test = LoadTest(requests, [LocustProcess("a", 1.0, 5.0, 0.3), LocustProcess("b", 2.0, 5.0, 0.5)])
    assert told(test, tally(requests)) == {
        "requests": 2, "succeeded": 1, "failed": 1, "failures": {"connection refused": 1}, "unfinished": 1,
        "prompt_tokens": 7, "output_tokens": 100, "client": {"processes": 2, "cpu_s": 3.0, "cpu_share": 0.5},
    }  # fmt: skip
