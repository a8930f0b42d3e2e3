from __future__ import annotations

import pytest

from serving.examples import SCENARIO, all_failed, detailed, result, without
from tokgate.serving.vllm_file import parse
from tokgate.serving.vllm_result import faults, notes, to_session
from tokgate.session import validate

pytestmark = pytest.mark.unit

WRITTEN = "2026-11-21T08:00:00+00:00"


def faults_of(data):
    return faults(parse(data, "run.json"))


def session_of(data, scenario=SCENARIO, reasons=(), name="run.json"):
    return validate(to_session(parse(data, name), scenario, reasons, "nvidia-t4", WRITTEN))


def test_a_good_result_has_no_fault():
    for data in (result(), detailed()):
        assert faults_of(data) == []
        assert notes(parse(data, "run.json")) == []


def test_a_client_that_was_too_slow_is_a_fault_where_tokgate_wrote_the_file():
    assert faults_of(result(tokgate={"client_fault": "the client used 99% of a core"})) == [
        "the client used 99% of a core"
    ]
    for own in ({"client_fault": None}, {}, None, 3):
        assert faults_of(result(tokgate=own)) == []


def test_a_file_of_an_older_vllm_says_nothing_of_failures():
    for data in (without("failed"), result(failed=None)):
        assert faults_of(data) == []
        assert "does not say how many requests failed" in notes(parse(data, "run.json"))[0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (result(completed=197, failed=3), "3 of 200 requests failed"),
        (result(completed=197), "3 of 200 requests are missing"),
        (without("failed", completed=197), "3 of 200 requests are missing"),
        (result(completed=201), "contradicts itself"),
        (result(failed=1), "1 of 200 requests failed"),
        (result(output_throughput=0.0), "output_throughput is 0"),
        (result(p99_tpot_ms=0.0), "p99_tpot_ms is 0"),
        (result(mean_ttft_ms=0, median_ttft_ms=0.0), "mean_ttft_ms, median_ttft_ms are 0"),
        (without("p99_ttft_ms"), "--metric-percentiles 99"),
        (result(p99_ttft_ms=399.0), "p99_ttft_ms 399 is below median_ttft_ms 400"),
        (detailed(errors=["", "Traceback\nConnectionRefusedError: no"] + [""] * 198), "ConnectionRefusedError"),
        (detailed(errors=[""] * 201), "errors lists 201 of 200"),
        (detailed(errors=["", "ServerDisconnectedError", "...truncated"]), "ServerDisconnectedError"),
        (detailed(ttfts=[0.0] + [0.4] * 199), "1 of 200 requests have a ttft of 0"),
        (all_failed(), "10 of 10 requests failed"),
        (all_failed(), "p99_ttft_ms, "),
    ],
)
def test_what_cannot_be_believed_is_named(data, reason):
    assert reason in "; ".join(faults_of(data))


def test_of_one_token_there_is_no_tpot():
    one_each = {key: 0.0 for key in result() if key.endswith("tpot_ms")}
    assert faults_of(result(**one_each, total_output_tokens=200, output_throughput=200 / 30)) == []


def test_a_throughput_that_does_not_follow_from_its_tokens_is_a_fault():
    (said,) = faults_of(result(duration=61.06))
    assert "make 1677" in said
    assert "was edited" in said
    assert faults_of(result(output_throughput=3413.3 * 1.009))
    assert faults_of(result(output_throughput=3413.33)) == []


def test_the_session_that_a_result_makes():
    session = session_of(result())
    assert (session.machine_id, session.machine_kind, session.profile) == ("nvidia-t4", "gpu", "vllm-bench-serve")
    assert (session.id, session.started) == ("run-20261121-030000", "2026-11-21T03:00:00")
    rows = {row.metric: row for row in session.rows}
    assert {metric for metric, row in rows.items() if row.gated} == {"output_throughput", "ttft", "tpot"}
    assert rows["ttft"].launches == [[0.4]], "the median over requests, in seconds"
    assert rows["mean_ttft"].launches == [[pytest.approx(0.408)]]
    assert rows["p99_tpot"].launches == [[pytest.approx(0.021)]]
    assert (rows["success_rate"].launches, rows["success_rate"].unit) == ([[100.0]], "%")
    assert {row.scenario for row in session.rows} == {SCENARIO}
    assert {row.group for row in session.rows} == {"qwen2.5-0.5b.serve.fp16"}


def test_a_date_in_the_name_is_not_repeated_and_one_that_is_missing_is_the_files():
    assert session_of(result(), name="openai-20261121-030000.json").id == "openai-20261121-030000"
    assert session_of(without("date")).started == WRITTEN
    assert session_of(without("date")).id == "run"


def test_what_was_not_measured_has_no_row():
    session = session_of(all_failed(), reasons=["10 of 10 requests failed"])
    assert not session.valid
    assert session.rows == []
    assert "e2el" not in {row.metric for row in session_of(without("median_e2el_ms")).rows}


def test_lists_that_somebody_cut_are_told_and_the_totals_judged():
    data = detailed(errors=["", "", "...truncated"], output_lens=[512] * 3, ttfts=[0.4] * 3)
    assert faults_of(data) == []
    assert "errors lists 2, output_lens lists 3, ttfts lists 3 of 200" in notes(parse(data, "run.json"))[0]


@pytest.mark.parametrize("key", ["median_itl_ms", "mean_e2el_ms", "p50_ttft_ms", "p99.9_tpot_ms"])
def test_no_latency_may_be_zero(key):
    assert f"{key} is 0" in "; ".join(faults_of(result(**{key: 0.0})))


def test_most_gaps_may_be_zero_where_messages_come_several_at_once_and_tokgate_stamped_them():
    """A proxy that writes four at once leaves three gaps of four without time; their mean tells that they were seen."""
    several = {"mean_itl_ms": 2.0, "median_itl_ms": 0.0, "p50_itl_ms": 0.0}
    assert faults_of(result(**several, tokgate={})) == []
    assert "median_itl_ms" in "; ".join(faults_of(result(**several)))
    none = dict.fromkeys(several, 0.0)
    assert "mean_itl_ms, median_itl_ms" in "; ".join(faults_of(result(**none, tokgate={})))
    assert "median_tpot_ms is 0" in "; ".join(faults_of(result(median_tpot_ms=0.0, tokgate={})))
