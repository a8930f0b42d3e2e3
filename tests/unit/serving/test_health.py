from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace

import pytest

from tests.unit.serving.runs import run, success
from tokgate.serving.health import ClientHealth, health

pytestmark = pytest.mark.unit

WELL = ClientHealth(
    processes=1,
    cpu_s=4.0,
    cpu_share=0.4,
    loop_lag_p50_s=0.0001,
    loop_lag_p99_s=0.004,
    loop_lag_max_s=0.03,
    schedule_lag_p99_s=0.001,
    schedule_lag_max_s=0.002,
    loop_lag_mean_s=0.0003,
)
# A request of 512 tokens on an H200, concurrency 50.
TTFT_S, DECODE_S = 0.065, 0.92


@dataclass
class Process:
    cpu_s: float = 1.0
    wall_s: float = 10.0
    loop_lag_s: array = field(default_factory=lambda: array("d"))
    watched_s: float = 10.0
    schedule_lag_s: array = field(default_factory=lambda: array("d"))


def test_a_client_that_kept_up_has_no_fault():
    assert WELL.fault(TTFT_S, DECODE_S) is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"cpu_share": 0.93}, "used 93% of a core (limit 90%)"),
        ({"loop_lag_mean_s": 0.0025}, "2.5 ms late on average, at a mean TTFT of 65 ms"),
        ({"loop_lag_p99_s": 0.02}, "late by 20 ms or more, where first and last token are 920 ms apart"),
        ({"schedule_lag_p99_s": 0.003}, "behind its schedule by 3 ms or more"),
    ],
)
def test_a_client_that_did_not_says_why_and_what_to_do(change, complaint):
    fault = replace(WELL, **change).fault(TTFT_S, DECODE_S)
    assert fault is not None
    assert complaint in fault
    assert fault.endswith("give it a core that nothing else uses")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"loop_lag_p99_s": 0.02, "loop_lag_samples": 17},
            "was late by 20 ms or more in 1 of 17 samples (one every 10 ms), where first and last token are 920 ms",
        ),
        (
            {"schedule_lag_p99_s": 0.003, "schedule_lag_samples": 20, "loop_lag_samples": 500},
            "sent 1 of 20 requests that had a slot behind its schedule by 3 ms or more",
        ),
    ],
)
def test_of_fewer_than_100_samples_it_says_how_many_and_advises_a_longer_run(change, complaint):
    fault = replace(WELL, **change).fault(TTFT_S, DECODE_S)
    assert fault is not None
    assert complaint in fault
    assert "in 100" not in fault
    assert fault.endswith(
        ": run it for longer (more prompts), so that no single sample decides, and give it a core that nothing else"
        " uses"
    )
    enough = replace(WELL, **{name: max(value, 100) if "samples" in name else value for name, value in change.items()})
    told = enough.fault(TTFT_S, DECODE_S)
    assert told is not None
    assert "in 100" in told
    assert "longer" not in told


def test_a_longer_run_is_no_advice_to_a_client_without_cpu_time():
    fault = replace(WELL, cpu_share=0.93, loop_lag_samples=17).fault(TTFT_S, DECODE_S)
    assert fault is not None
    assert "longer" not in fault


def test_a_client_is_busy_above_half_of_the_limit_of_its_cpu():
    assert replace(WELL, cpu_share=0.46).is_busy
    assert not replace(WELL, cpu_share=0.44).is_busy


def test_the_same_lag_is_none_where_latencies_are_longer():
    late = replace(WELL, loop_lag_mean_s=0.0025, loop_lag_p99_s=0.02, schedule_lag_p99_s=0.003)
    assert late.fault(ttft_s=1.0, decode_s=10.0) is None


def test_where_answers_are_of_one_token_a_lag_now_and_then_is_held_against_ttft():
    """They have no TPOT that it could make wrong: 20 ms in one of a hundred are none at 3 s, and are at 65 ms."""
    late = replace(WELL, loop_lag_p99_s=0.02)
    assert late.fault(ttft_s=3.0, decode_s=None) is None
    fault = late.fault(TTFT_S, decode_s=None)
    assert fault is not None
    assert "late by 20 ms or more, where an answer of one token takes 65 ms" in fault
    assert replace(WELL, loop_lag_p99_s=0.07).fault(ttft_s=3.0, decode_s=None) is not None
    assert late.fault(ttft_s=3.0, decode_s=0.05) is not None, "these have a TPOT"
    assert late.fault(ttft_s=3.0, decode_s=0.0) is not None, "all their tokens came in one read"


def test_what_ends_an_answer_of_one_token_is_no_decoding():
    """In a chat a message with the role comes before it, or one with the reason of its end after it."""
    late = replace(WELL, loop_lag_p99_s=0.02)
    single = [success(number, 0.0, 3.0, 3.001, output_tokens=1) for number in range(4)]
    assert replace(run(*single), health=late).client_fault() is None
    beside = replace(run(*single, success(4, 0.0, 3.0, 3.05)), health=late).client_fault()
    assert beside is not None
    assert "where first and last token are 50 ms apart" in beside


def test_the_spread_of_an_itl_is_doubted_where_lags_come_near_it():
    doubt = WELL.itl_doubt(0.0018)
    assert doubt is not None
    assert "late by 4 ms or more, at a median ITL of 1.8 ms" in doubt
    assert WELL.fault(TTFT_S, DECODE_S) is None
    assert "stamped 1 message in 100" in doubt
    of_few = replace(WELL, loop_lag_samples=17).itl_doubt(0.0018)
    assert of_few is not None
    assert "was late by 4 ms or more in 1 of 17 samples (one every 10 ms), at a median ITL of 1.8 ms" in of_few
    assert WELL.itl_doubt(0.041) is None
    assert replace(WELL, loop_lag_p99_s=0.0009).itl_doubt(0.0018) is None


def test_less_than_a_millisecond_is_no_fault_however_short_the_latencies():
    assert replace(WELL, loop_lag_p99_s=0.0009).fault(ttft_s=0.001, decode_s=0.0) is None


def test_the_worst_process_counts():
    quick = Process(loop_lag_s=array("d", [0.001] * 100), schedule_lag_s=array("d", [0.005]))
    busy = Process(cpu_s=9.0, loop_lag_s=array("d", [0.002] * 99 + [0.2]))
    found = health([quick, busy])
    assert (found.processes, found.cpu_s, found.cpu_share) == (2, 10.0, 0.9)
    assert (found.loop_lag_p50_s, found.loop_lag_max_s) == (0.002, 0.2)
    assert found.loop_lag_mean_s == pytest.approx(0.00398)
    assert (found.schedule_lag_p99_s, found.schedule_lag_max_s) == (0.005, 0.005)


def test_samples_are_those_of_the_process_whose_percentile_is_told():
    few = Process(loop_lag_s=array("d", [0.001] * 16 + [0.2]), schedule_lag_s=array("d", [0.001] * 40))
    many = Process(loop_lag_s=array("d", [0.002] * 500), schedule_lag_s=array("d", [0.002] * 30))
    found = health([many, few, Process()])
    assert (found.loop_lag_samples, found.schedule_lag_samples) == (17, 30)
    assert found.loop_lag_p99_s > 0.1


def test_a_run_too_short_for_a_sample_has_no_lag():
    found = health([Process(wall_s=0.05, watched_s=0.0)])
    assert (found.loop_lag_p99_s, found.unwatched_share) == (0.0, 0.0)
    assert (found.loop_lag_samples, found.schedule_lag_samples) == (0, 0)
    assert found.is_known


def test_a_sensor_that_did_not_work_is_a_fault():
    """No samples are not the samples of a loop that was never late."""
    found = health([Process(), Process(watched_s=2.0)])
    assert found.unwatched_share == 0.8
    assert not found.is_known
    fault = replace(WELL, unwatched_share=found.unwatched_share).fault(TTFT_S, DECODE_S)
    assert fault is not None
    assert "for 80% of the run nothing tells how late the client was (limit 50%)" in fault
    assert replace(WELL, unwatched_share=0.4).fault(TTFT_S, DECODE_S) is None
