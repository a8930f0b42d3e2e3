"""What a round's load gave, and which doubts make the round measured again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.serving.runs import HEALTH, failure, requests_of, run, success
from tokgate.plan import Device, PlanRow, Traffic, Users
from tokgate.serving.crosscheck import CrossCheck
from tokgate.serving.driven import (
    Capacity,
    Driven,
    by_both_clients,
    by_one_client,
    by_users,
    capacity_of,
    closed_loop_of,
)
from tokgate.serving.record import Failure
from tokgate.serving.users.tally import LoadTest, LocustProcess, UserRequest

pytestmark = pytest.mark.unit

ROW = PlanRow("row", 2, 5, 3, Traffic(2))
OPEN = replace(ROW, traffic=Traffic(2, open_share=0.5))
CLOSED = Traffic(2)
CROSS_CHECK = Traffic(2, both_clients=True)
USERS = Traffic(8, users=Users("completions", True, 10.0, (0.0, 0.0), 5.0))

SOUND = Driven(10.0, {"ttft": 0.1}, fault=None, late=None, told={})
LATE = replace(SOUND, late="the client was late")
FAILED = replace(SOUND, figures={}, fault="1 of 2 requests failed")
BUSY = "others took 70% of the 2 cores"


@pytest.mark.parametrize("traffic", [CLOSED, USERS])
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_disturbed_round_and_a_late_client_are_said_on_every_device(traffic: Traffic, device: Device) -> None:
    assert SOUND.doubts(None, traffic, device) is None
    assert SOUND.doubts(BUSY, traffic, device) == BUSY
    assert LATE.doubts(None, traffic, device) == "the client was late"
    assert LATE.doubts(BUSY, traffic, device) == f"{BUSY}; the client was late"


def test_both_clients_on_cpus_are_told_and_not_judged() -> None:
    assert LATE.doubts(BUSY, CROSS_CHECK, "cpu") is None
    assert LATE.doubts(BUSY, CROSS_CHECK, "gpu") == f"{BUSY}; the client was late"


@pytest.mark.parametrize("traffic", [CLOSED, USERS, CROSS_CHECK])
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_fault_is_final(traffic: Traffic, device: Device) -> None:
    """Measured again, the requests would fail again: it is told as it is."""
    assert replace(FAILED, late="the client was late").doubts(BUSY, traffic, device) is None


def locust(*requests: UserRequest, cpu_share: float = 0.1, processes: int = 1) -> LoadTest:
    return LoadTest(list(requests), [LocustProcess("host", 1.0, 10.0, cpu_share)] * processes)


ANSWERED = UserRequest(10.0, 1.0, prompt_tokens=5, output_tokens=3)


def test_a_users_round_in_which_locust_was_late_says_so() -> None:
    found = by_users(locust(ANSWERED, cpu_share=0.9), workers=0)
    assert found.fault is None
    assert "Locust used 90% of a core" in str(found.doubts(None, USERS, "cpu"))


@pytest.mark.parametrize(("workers", "heard"), [(0, 0), (2, 1)])
def test_a_users_round_of_which_a_process_told_nothing_says_so(workers: int, heard: int) -> None:
    found = by_users(locust(ANSWERED, processes=heard), workers)
    assert f"{heard} of {max(1, workers)} of Locust's processes" in str(found.doubts(None, USERS, "cpu"))


def test_failed_requests_of_users_leave_no_figures() -> None:
    found = by_users(locust(ANSWERED, UserRequest(10.0, 0.1, failure="HTTP 5xx", detail="503")), workers=0)
    assert "1 of 2 requests failed" in str(found.fault)
    assert not found.figures
    assert (found.told["succeeded"], found.told["failed"]) == (1, 1)
    assert by_users(locust(ANSWERED), workers=0).figures["e2el"] == 1.0


def test_failed_requests_of_the_client_leave_no_figures() -> None:
    well = success(0, 0.0, 1.0, 1.5, 2.0, prompt_tokens=5)
    result = run(well, failure(1, Failure.HTTP_5XX))
    found = by_one_client(ROW, requests_of(result), result)
    assert "1 of 2 requests failed" in str(found.fault)
    assert not found.figures
    assert found.told["succeeded"] == 1


def test_a_round_of_the_client_tells_its_work_its_health_and_its_rate() -> None:
    result = run(success(0, 0.0, 1.0, 1.5, 2.0), success(1, 0.0, 2.0, 3.0, 4.0))
    found = by_one_client(OPEN, requests_of(result), result, Capacity(1.0, None))
    assert found.fault is None
    assert found.figures["tpot"] == pytest.approx(0.75)
    assert (found.told["prompt_tokens"], found.told["output_tokens"]) == (10, 6)
    assert found.told["client"]["cpu_s"] == HEALTH.cpu_s
    assert found.told["rate"] == 0.5
    late = replace(result, health=replace(HEALTH, cpu_share=0.95))
    assert "used 95% of a core" in str(by_one_client(ROW, requests_of(result), late).late)


def test_the_rate_of_an_open_loop_is_a_share_of_what_a_closed_one_found() -> None:
    result = run(success(0, 0.0, 1.0, 1.5, 2.0), success(1, 0.0, 2.0, 3.0, 4.0), duration_s=4.0)
    found = capacity_of(OPEN, requests_of(result), result)
    assert (found.requests_per_s, found.fault) == (0.5, None)
    assert found.share_of(OPEN) == 0.25


def test_a_disturbed_closed_loop_makes_each_round_at_its_rate_disturbed() -> None:
    """A server that was held up carries less: the round's rate is too small, and its latencies too good."""
    result = run(success(0, 0.0, 1.0, 1.5, 2.0), success(1, 0.0, 2.0, 3.0, 4.0), duration_s=4.0)
    late = replace(result, health=replace(HEALTH, cpu_share=0.95))
    requests = requests_of(result)
    assert capacity_of(OPEN, requests, result).doubt is None
    for capacity, why in (
        (capacity_of(OPEN, requests, result, BUSY), BUSY),
        (capacity_of(OPEN, requests, late), "the client used 95% of a core"),
    ):
        doubt = by_one_client(OPEN, requests, result, capacity).doubts(None, Traffic(2, open_share=0.5), "cpu")
        assert str(doubt).startswith(f"its rate is a share of what a closed loop found, in which {why}")
    both = by_one_client(OPEN, requests, late, capacity_of(OPEN, requests, result, BUSY))
    assert str(both.late).startswith("the client used 95% of a core")
    assert str(both.late).endswith(BUSY)


def test_rows_share_a_capacity_where_their_closed_loops_are_one() -> None:
    """Of prompts that begin alike a server carries more than of random ones."""
    of = replace(OPEN, scenario="other", traffic=Traffic(2, open_share=0.8))
    assert closed_loop_of(of) == closed_loop_of(OPEN)
    for change in ({"prompts": "shared"}, {"requests": 3}):
        assert closed_loop_of(replace(OPEN, traffic=replace(OPEN.traffic, **change))) != closed_loop_of(OPEN)


def test_a_closed_loop_in_which_requests_failed_gives_no_rate() -> None:
    """Failures are quick: a rate over the successes would make the open loop easier, and the row look faster."""
    whole = run(success(0, 0.0, 1.0, 1.5, 2.0), success(1, 0.0, 2.0, 3.0, 4.0))
    broken = run(whole.records[0], failure(1, Failure.HTTP_5XX))
    capacity = capacity_of(OPEN, requests_of(broken), broken)
    found = by_one_client(OPEN, requests_of(whole), whole, capacity)
    assert "in which 1 of 2 requests failed" in str(found.fault)
    assert not found.figures
    nothing = run(failure(0, Failure.REFUSED))
    with pytest.raises(ValueError, match=r"no request succeeded in the closed loop .*: 1 of 1 requests failed: conn"):
        capacity_of(OPEN, requests_of(nothing), nothing)


def test_a_cross_check_passes_on_what_both_clients_said() -> None:
    found = by_both_clients(ROW, CrossCheck({"ttft": 0.1}, "vllm's client: 1 failed", "a doubt", 20.0))
    assert (found.fault, found.late, found.total_s) == ("vllm's client: 1 failed", "a doubt", 20.0)
    assert (found.told["prompt_tokens"], found.told["output_tokens"]) == (10, 6)
