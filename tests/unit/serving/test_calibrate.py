from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from tokgate.cli import main
from tokgate.machine.cpus import sibling_cpus
from tokgate.serving import calibrate, clientdoctor
from tokgate.serving.calibrate import Calibration, Cores, Course, at_rate, errors, two_cores
from tokgate.serving.health import ClientHealth
from tokgate.serving.load import LoadResult
from tokgate.serving.record import Failure, RequestRecord

pytestmark = pytest.mark.unit

# Limits that no run of the tests can break.
EASY = Course(2, 4, 8, ttft_s=0.002, itl_s=0.001, max_ttft_error_s=60.0, max_tpot_error=1e9, max_p99_tpot_error=1e9)
EASY_OPEN = replace(EASY, requests_per_s=200.0)
TRUTH = {"ttft_s": {"mean": 0.1}, "tpot_s": {"mean": 0.01, "p99": 0.02}}


def calibration(course, kept=1.0, **health):
    """A request of 2 tokens, TTFT 10 ms too high, TPOT true, and streamed `kept` times as fast as was asked for."""
    tpot_s = course.itl_s / kept
    own = ClientHealth(**{**dict.fromkeys(ClientHealth.__dataclass_fields__, 0.0), "processes": 1, **health})
    result = LoadResult((RequestRecord(0, 0.0, 0.0, (0.11, 0.11 + tpot_s), 5, 2),), 0.0, 1.0, 1, own)
    return Calibration(course, result, {"ttft_s": {"mean": 0.1}, "tpot_s": {"mean": tpot_s, "p99": tpot_s}})


def test_errors_are_against_the_truth():
    found = errors(0.104, 0.0099, 0.0204, TRUTH)
    assert (found.ttft_s, found.tpot, found.p99_tpot) == pytest.approx((0.004, -0.01, 0.02))


def test_what_is_beyond_the_limits_is_named():
    course = replace(EASY, max_ttft_error_s=0.003, max_tpot_error=0.005, max_p99_tpot_error=0.03)
    found = errors(0.104, 0.0099, 0.0204, TRUTH).faults(course)
    assert found == ["TTFT is off by more than 3 ms", "TPOT is off by more than 0.5%"]


def test_a_course_is_run_on_a_stub_server():
    found = calibrate.calibrate(EASY, Cores(None, None))
    assert (found.truth["requests"], found.truth["tokens"], len(found.result.successes)) == (4, 32, 4)
    assert found.errors.ttft_s > 0
    assert found.cpu_s_per_token > 0
    assert found.errors.faults(EASY) == []


def test_an_open_loop_is_sent_by_its_rate():
    found = calibrate.calibrate(EASY_OPEN, Cores(None, None))
    due_s = [record.due_s for record in found.result.records]
    # Three gaps of 5 ms on average, the same ones at each run.
    assert 0.0 < max(due_s) - min(due_s) < 0.1
    assert len(set(due_s)) == 4
    assert found.sent_late_s > 0


def test_how_late_one_request_in_a_hundred_was_sent_is_a_fault_beyond_its_limit():
    course = replace(EASY_OPEN, max_ttft_error_s=60.0, max_sent_late_s=0.004)
    found = calibration(course)
    late = [replace(found.result.records[0], number=number, due_s=-1e-5 * number) for number in range(501)]
    late = replace(found, result=replace(found.result, records=tuple(late)))
    assert late.sent_late_s == pytest.approx(0.00495)
    assert late.faults() == ["1 request in 100 is sent later than 4 ms after it was due"]
    assert replace(late, course=replace(course, max_sent_late_s=0.005)).faults() == []


def test_the_client_is_let_go_from_its_core_again():
    before = os.sched_getaffinity(0)
    with Cores(None, min(before)).client():
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_two_threads_of_one_core_are_taken_only_where_there_is_no_other(monkeypatch):
    monkeypatch.setattr(calibrate, "sibling_cpus", lambda cpu: frozenset({cpu, cpu ^ 1}))
    assert two_cores([4, 5, 6, 7]) == Cores(stub=4, own=6)
    assert two_cores([4, 5]) == Cores(stub=4, own=5)
    assert two_cores([4]) == Cores(None, None)


def test_siblings_are_read_from_the_kernel(tmp_path):
    file = tmp_path / "sys/devices/system/cpu/cpu3/topology/thread_siblings_list"
    file.parent.mkdir(parents=True)
    file.write_text("3,19\n")
    assert sibling_cpus(3, tmp_path) == {3, 19}
    assert sibling_cpus(4, tmp_path) == {4}


def test_a_client_within_its_limits_is_ok_and_one_beyond_says_what_to_do():
    course = replace(EASY, max_ttft_error_s=0.02)
    good = clientdoctor.accuracy(calibration(course))
    assert (good.status, good.name) == ("ok", "client c=2")
    assert good.seen.startswith("TTFT +10.00 ms, TPOT +0.00%, P99 TPOT +0.00% of the truth")
    bad = clientdoctor.accuracy(calibration(replace(course, max_ttft_error_s=0.009)))
    assert bad.status == "fail"
    assert "TTFT is off by more than 9 ms" in bad.seen
    assert bad.remedy


def test_an_open_loop_says_how_late_it_was_sent_and_fails_where_the_client_was_what_was_measured():
    good = clientdoctor.open_loop(calibration(EASY_OPEN))
    assert (good.status, good.name) == ("ok", "client 200/s")
    assert good.seen == "1 request in 100 sent 0.00 ms or more after it was due; TTFT +10.00 ms"
    bad = clientdoctor.open_loop(calibration(EASY_OPEN, schedule_lag_p99_s=0.005, schedule_lag_samples=300))
    assert bad.status == "fail"
    assert "behind its schedule by 5 ms" in bad.seen
    assert bad.remedy


def test_a_client_whose_requests_failed_is_no_good():
    record = RequestRecord(0, 0.0, 0.0, failure=Failure.RESET, detail="gone")
    found = calibration(EASY)
    check = clientdoctor.accuracy(replace(found, result=replace(found.result, records=(record,))))
    assert check.status == "fail"
    assert "1 of 1 requests failed: connection lost: gone" in check.seen


@pytest.mark.parametrize(
    ("runs", "seen"),
    [
        ({"cpu_share": 0.95}, "one process follows 20,000 tok/s; at 40,000: the client used 95% of a core"),
        (
            {"kept": 0.5},
            "one process follows at least 20,000 tok/s; the stub server could write no faster (20,000 of 40,000)",
        ),
        (
            {"kept": 0.5, "cpu_share": 0.95},
            "one process follows 20,000 tok/s; the stub server could write no faster (20,000 of 40,000)",
        ),
        ({}, "one process follows at least 120,000 tok/s; no more was tried"),
    ],
)
def test_the_ceiling_is_the_last_rate_that_was_followed_or_more_where_the_client_did_not_end_it(
    monkeypatch, runs, seen
):
    def run(course, cores):
        return calibration(course, **(runs if course.concurrency / course.itl_s > 39_999 else {}))

    monkeypatch.setattr(clientdoctor, "calibrate", run)
    check = clientdoctor.ceiling(Cores(None, None), lambda _: None)
    assert check.status == "ok"
    assert check.seen.startswith(seen)


def test_a_rate_is_streamed_for_about_three_seconds():
    course = at_rate(80_000)
    assert course.output_len * course.itl_s == pytest.approx(3.0)
    assert course.tokens == pytest.approx(240_000)


def test_the_command_prints_the_checks(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("tokgate.machine.lock.lock_folder", lambda: tmp_path / "locks")
    monkeypatch.setattr(clientdoctor, "COURSES", (EASY,))
    monkeypatch.setattr(clientdoctor, "OPEN_LOOP", EASY_OPEN)
    monkeypatch.setattr(clientdoctor, "RATES", ())
    assert main(["doctor", "--client", "--json"]) == 4
    accuracy, open_loop, ceiling = json.loads(capsys.readouterr().out)
    assert (accuracy["name"], open_loop["name"]) == ("client c=2", "client 200/s")
    # Nothing was tried, so nothing was followed.
    assert (ceiling["name"], ceiling["status"]) == ("client ceiling", "fail")
