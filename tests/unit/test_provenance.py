"""What the machine reached beside the rows goes into a session's fingerprint."""

from __future__ import annotations

import pytest

from tokgate.launch import LaunchRecord
from tokgate.provenance import measured
from tokgate.result import GroupResult
from tokgate.scenario import Group

pytestmark = pytest.mark.unit

GROUP = Group("tiny", "tiny", "vllm", "fp16")


def launch(read_bytes_s: float, *loops_s: float) -> LaunchRecord:
    events = [{"event": "round", "disturbed": None, "loop_s": [loop_s, loop_s]} for loop_s in loops_s]
    return LaunchRecord(peaks={"read_bytes_s": read_bytes_s, "flop_s": 7e14}, events=events)


def test_the_best_peak_and_the_mean_of_the_hosts_loops_over_all_groups_and_never_of_a_references() -> None:
    one = GroupResult(GROUP, launches=[launch(4.0e12, 0.001)], confirmations=[launch(4.2e12, 0.003)])
    other = GroupResult(GROUP, candidates=[launch(4.1e12, 0.002)], references=[launch(9e12, 1.0, 1.0, 1.0)])
    assert measured([one, other]) == {"measured": {"read_bytes_s": 4.2e12, "flop_s": 7e14, "host_loop_mean_s": 0.002}}


def test_what_was_not_measured_is_left_out() -> None:
    assert measured([]) == measured([GroupResult(GROUP, launches=[LaunchRecord()])]) == {}
    unprobed = LaunchRecord(
        peaks={"read_bytes_s": 3e10, "flop_s": 1e11}, events=[{"event": "round", "disturbed": None}]
    )
    assert measured([GroupResult(GROUP, launches=[unprobed])]) == {"measured": unprobed.peaks}
