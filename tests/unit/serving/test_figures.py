"""From one load to a row's figures, and to its faults."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.serving.runs import failure, run, success
from tokgate.plan import PlanRow, Traffic
from tokgate.serving.figures import costs_of, figures_of, load_fault, queue_of
from tokgate.serving.record import Failure
from tokgate.serving.request import Request
from tokgate.serving.server_metrics import ServerUse

pytestmark = pytest.mark.unit

ROW = PlanRow("row", 2, 5, 3, Traffic(2))
REQUESTS = [Request(b"{}", 5, 3), Request(b"{}", 5, 3)]


def use(**figures: Any) -> ServerUse:
    return ServerUse(**{**dict.fromkeys(ServerUse.__dataclass_fields__), "readings": 2, **figures})


def test_the_definitions_by_hand() -> None:
    """Two requests of 3 tokens in 10 s: first tokens after 1 and 2 s, TPOT 0.5 and 1 s."""
    result = run(success(0, 0.0, 1.0, 1.5, 2.0), success(1, 0.0, 2.0, 3.0, 4.0))
    figures = figures_of(ROW, REQUESTS, result)
    assert figures["output_throughput"] == pytest.approx(0.6)
    assert figures["request_throughput"] == pytest.approx(0.2)
    assert figures["ttft"] == figures["mean_ttft"] == pytest.approx(1.5)
    assert figures["tpot"] == figures["mean_tpot"] == pytest.approx(0.75)
    assert figures["p99_ttft"] == pytest.approx(1.99)
    assert figures["e2el"] == pytest.approx(3.0)
    assert figures["success_rate"] == 100
    assert "goodput" not in figures, "neither kept 50 ms a token, and a session holds no 0"
    assert not {"short_ttft", "due_ttft"} & figures.keys()
    assert load_fault(ROW, REQUESTS, result) is None


def test_goodput_counts_those_that_a_user_finds_quick() -> None:
    result = run(success(0, 0.0, 1.9, 1.95, 2.0), success(1, 0.0, 2.1, 2.15, 2.2))
    assert figures_of(ROW, REQUESTS, result)["goodput"] == pytest.approx(0.1)


def test_an_open_loop_counts_from_when_a_request_was_due_too() -> None:
    row = PlanRow("row", 2, 5, 2, Traffic(1, open_share=0.5))
    figures = figures_of(row, REQUESTS[:1], run(success(0, 1.0, 2.0, 3.0, due_s=100.5)))
    assert (figures["ttft"], figures["due_ttft"]) == (pytest.approx(1.0), pytest.approx(1.5))


def test_the_short_ones_among_mixed_prompts_have_a_ttft_of_their_own() -> None:
    row = PlanRow("row", 2, 100, 2, Traffic(2, "mixed"))
    requests = [Request(b"{}", 100, 2), Request(b"{}", 16, 2)]
    result = run(success(0, 0.0, 3.0, 4.0), success(1, 0.0, 0.5, 1.0))
    assert figures_of(row, requests, result)["short_ttft"] == pytest.approx(0.5)


def test_failed_requests_are_told_by_kind_with_what_the_first_said() -> None:
    result = run(success(0, 0.0, 1.0, 2.0, 3.0), failure(1, Failure.RESET, "after 3 tokens"))
    fault = load_fault(ROW, REQUESTS, result)
    assert fault == "1 of 2 requests failed: connection lost (1: after 3 tokens); see the server's log"


def test_failures_by_another_vocabulary_name_the_remedy() -> None:
    refused = failure(1, Failure.HTTP_4XX, "Token id 136509 is out of vocabulary")
    fault = load_fault(ROW, REQUESTS, run(success(0, 0.0, 1.0, 2.0, 3.0), refused))
    assert str(fault).startswith("1 of 2 requests failed: HTTP 4xx (1: Token id 136509 is out of vocabulary); see the")
    assert "name the model that it serves, --perf-model=DIR" in str(fault)


@pytest.mark.parametrize(("told", "said"), [(6, "counted 11 prompt tokens"), (None, "did not tell the prompt tokens")])
def test_other_prompt_tokens_than_were_sent_are_a_fault(told: int | None, said: str) -> None:
    result = run(success(0, 0.0, 1.0, 2.0, 3.0), success(1, 0.0, 1.0, 2.0, 3.0, prompt_tokens=told))
    assert said in str(load_fault(ROW, REQUESTS, result))


def test_the_clients_cpu_is_no_cost_of_the_server() -> None:
    told = {"output_tokens": 100, "client": {"cpu_s": 2.0}}
    watched = {"use": {"own_cpu_s": 12.0}, "gpu": {"memory_bytes": 2**30, "energy_j": 50.0}}
    assert costs_of(watched, told, 2**20) == {
        "cpu_time_per_token": 0.1, "peak_memory": 2**20, "peak_gpu_memory": 2**30, "energy_per_token": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(("queue_s", "expected"), [(0.25, {"queue_time": 0.25}), (2e-5, {}), (None, {})])
def test_a_queue_is_told_where_there_was_one(queue_s: float | None, expected: dict[str, float]) -> None:
    assert queue_of(use(queue_s=queue_s)) == expected
    assert queue_of(None) == {}
