"""What the machine reached beside the rows goes into a session's fingerprint."""

from __future__ import annotations

import pytest

from tokgate.launch import LaunchRecord
from tokgate.provenance import measured, telemetry
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


def test_what_an_engine_counted_beside_its_rounds_is_kept_as_a_servers_is() -> None:
    """Speculation that is accepted less is why its row is slower."""

    def counted(drafted: float, accepted: float, disturbed: str | None = None) -> dict[str, object]:
        counters = {
            "num_preemptions": 2.0,
            "prefix_cache_queries": 0.0,
            "prefix_cache_hits": 0.0,
            "spec_decode_num_draft_tokens": drafted,
            "spec_decode_num_accepted_tokens": accepted,
        }
        return {"event": "round", "scenario": "row", "disturbed": disturbed, "counters": counters}

    silent = {"event": "round", "scenario": "other", "disturbed": None}
    events = [counted(400.0, 240.0), counted(400.0, 160.0), counted(400.0, 0.0, "the GPU was used"), silent]
    told = telemetry([GroupResult(GROUP, launches=[LaunchRecord(events=events)])])
    assert told["served"] == {"row": {"preemptions": 2.0, "acceptance": 0.5}}
    assert "served" not in telemetry([GroupResult(GROUP, launches=[LaunchRecord(events=[silent])])])
