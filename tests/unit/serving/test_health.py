from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace

import pytest

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


def test_a_client_is_busy_above_half_of_the_limit_of_its_cpu():
    assert replace(WELL, cpu_share=0.46).is_busy
    assert not replace(WELL, cpu_share=0.44).is_busy


def test_the_same_lag_is_none_where_latencies_are_longer():
    late = replace(WELL, loop_lag_mean_s=0.0025, loop_lag_p99_s=0.02, schedule_lag_p99_s=0.003)
    assert late.fault(ttft_s=1.0, decode_s=10.0) is None


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


def test_a_run_too_short_for_a_sample_has_no_lag():
    assert health([Process()]).loop_lag_p99_s == 0.0
