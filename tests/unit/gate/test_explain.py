"""What moved, in which launches, and how near to the machine's limits it came."""

from __future__ import annotations

import msgspec
import pytest

from gate.examples import MACHINE, make_row, make_session, scenario, store
from tokgate.gate.explain import explain, movements

pytestmark = pytest.mark.unit

# Decode reads 1 GB a step and prefill computes 10 GFLOP; on 40 GB/s and 200 GFLOP/s these take 25 and 50 ms.
WORK = {"decode_bytes": 1e9, "decode_flop": 1e9, "prefill_bytes": 1e9, "prefill_flop": 10e9}
PEAKS = {"read_bytes_s": 40e9, "flop_s": 200e9}


def night(number, prefill=0.1, decode=0.05, launches=4, peaks=None, work=None, **changes):
    """`prefill` and `decode` in seconds, one for all launches or one each."""

    def values(seconds):
        each = seconds if isinstance(seconds, list) else [seconds] * launches
        return [[value * (1 + 0.001 * (number % 3))] for value in each]

    common = {"scenario": scenario(0), "unit": "s", "better": "lower", "gated": False}
    rows = [
        make_row([[50.0]] * launches, scenario=scenario(0)),
        make_row(values(prefill), metric="ttft", **common),
        make_row(values(decode), metric="tpot", **common),
    ]
    if peaks is not None:
        changes["machine"] = {"id": MACHINE, "kind": "cpu", "measured": peaks}
    if work is not None:
        changes["telemetry"] = {"work": {scenario(0): work}}
    return make_session(number, rows, **changes)


def nights(**changes):
    return store(night(number, **changes) for number in range(5))


def test_the_part_that_moved_comes_first_with_its_launches():
    decode, prefill = movements(night(9, decode=0.0625), nights(), scenario(0))
    assert (decode.part, decode.moved, decode.slow_launches, decode.launches) == ("decode", True, 4, 4)
    assert decode.change_pct == pytest.approx(25, abs=0.5)
    assert not prefill.moved
    assert str(decode).startswith("decode (tpot) 24.9% slower, ")
    assert str(decode).endswith(" s, in all 4 launches")
    assert "launches" not in str(prefill), "what did not move is in no launch"


def test_a_scenario_without_parts_or_baseline_has_no_movements():
    baselines = nights()
    assert movements(night(9), baselines, scenario(7)) == []
    assert movements(night(9), store([]), scenario(0)) == []
    assert movements(msgspec.structs.replace(night(9), profile="quick"), baselines, scenario(0)) == []
    assert explain(night(9), baselines, scenario(7)) == []


WOBBLY = [0.050, 0.051, 0.052, 0.051, 0.050, 0.054]


@pytest.mark.parametrize(
    ("launches", "said"),
    [
        # Every launch a tenth slower, within the usual wobble or not.
        ([value * 1.1 for value in WOBBLY], "in all 6 launches"),
        # Two of six fell into another mode: the session's value hardly moves.
        ([0.050, 0.051, 0.052, 0.051, 0.080, 0.082], "but slower in 2 of 6 launches, the others as before"),
        # Most did, two are as they were.
        ([0.080, 0.081, 0.082, 0.080, 0.050, 0.051], "in 4 of 6 launches, the others as before"),
        # One slow launch as accepted sessions have one too.
        ([*WOBBLY[:5], 0.0545], "s"),
    ],
)
def test_a_change_of_every_launch_is_told_from_one_of_some(launches, said):
    baselines = nights(decode=WOBBLY, launches=6)
    found = {move.part: move for move in movements(night(9, decode=launches, launches=6), baselines, scenario(0))}
    assert str(found["decode"]).endswith(said)
    assert ("launch" in str(found["decode"])) is ("launch" in said)


def test_where_every_night_has_a_slow_launch_it_is_as_before_and_moves_with_the_others():
    nightly = [0.050, 0.051, 0.090]
    baselines = nights(decode=nightly, launches=3)
    (same, _) = movements(night(9, decode=[0.091, 0.050, 0.051], launches=3), baselines, scenario(0))
    assert same.slow_launches == 0
    slower = [1.2 * value for value in nightly]
    (moved, _) = movements(night(9, decode=slower, launches=3), baselines, scenario(0))
    assert str(moved).endswith("in all 3 launches")


def test_sessions_of_another_number_of_launches_are_held_against_as_well():
    baselines = nights(decode=WOBBLY, launches=6)
    (decode, _) = movements(night(9, decode=[0.06, 0.062, 0.064], launches=3), baselines, scenario(0))
    assert str(decode).endswith("in all 3 launches")
    (decode, _) = movements(night(9, decode=0.06, launches=1), baselines, scenario(0))
    assert str(decode).endswith("in the only launch")


def test_one_launch_is_the_only_one():
    (decode, _) = movements(night(9, decode=0.09, launches=1), nights(launches=1), scenario(0))
    assert str(decode).endswith("in the only launch")
    assert decode.spread is None


def test_the_spread_of_launches_is_held_against_that_of_accepted_sessions():
    baselines = nights(decode=WOBBLY, launches=6)
    lines = explain(night(9, decode=[0.06, 0.06, 0.06, 0.06, 0.06, 0.09], launches=6), baselines, scenario(0))
    assert "launch to launch decode differs by 50.0%; in the accepted sessions by 8.0%" in lines


def test_decode_shows_bytes_a_second_and_prefill_operations_as_shares_of_the_machines():
    baselines = nights(peaks=PEAKS)
    lines = explain(night(9, decode=0.0625, peaks=PEAKS, work=WORK), baselines, scenario(0))
    assert (
        "decode reads 1 GB a step: 20 -> 16 GB/s, 50% -> 40% of this machine's read bandwidth" in lines
    )  # 50 ms and 62.5 ms
    assert "prefill computes 10 GFLOP: 99.9 -> 100 GFLOP/s, 50% -> 50% of this machine's FP32 rate" in lines  # 100 ms


def test_prefill_of_a_short_prompt_reads_weights():
    work = {**WORK, "prefill_flop": 1e9}
    lines = explain(night(9, decode=0.0625, peaks=PEAKS, work=work), nights(peaks=PEAKS), scenario(0))
    assert any(line.startswith("prefill reads 1 GB: ") for line in lines)


def test_what_is_far_above_both_limits_is_the_engines_own_overhead():
    lines = explain(night(9, decode=0.5, peaks=PEAKS, work=WORK), nights(peaks=PEAKS), scenario(0))
    (decode,) = [line for line in lines if line.startswith("decode reads")]
    assert "50% -> 5.0% of this machine's read bandwidth" in decode
    assert decode.endswith("; neither memory nor arithmetic holds it up: look at the engine's own overhead")


def test_a_machine_that_fell_itself_is_the_finding():
    now = {"read_bytes_s": 30e9, "flop_s": 199e9}
    lines = explain(night(9, decode=0.0625, peaks=now, work=WORK), nights(peaks=PEAKS), scenario(0))
    assert lines[-1] == "the machine's own read bandwidth fell, 40 -> 30 GB/s: look at the host first"
    assert any("50% -> 53% of this machine's read bandwidth" in line for line in lines), "as near to it as ever"
    assert not any("FP32 rate fell" in line for line in lines)


def test_peaks_within_what_accepted_sessions_had_fell_nowhere():
    baselines = store(night(number, peaks={**PEAKS, "read_bytes_s": 40e9 - number % 2 * 9e9}) for number in range(5))
    lines = explain(night(9, peaks={**PEAKS, "read_bytes_s": 32e9}, work=WORK), baselines, scenario(0))
    assert not any("fell" in line for line in lines)


@pytest.mark.parametrize("peaks", [PEAKS, {}], ids=["with peaks", "without"])
def test_a_host_that_was_slower_than_ever_is_told_with_a_slower_row(peaks):
    def host(number, loop_s, python="3.12.3"):
        machine = {**peaks, "host_loop_mean_s": loop_s}
        return night(number, decode=0.05 if number < 5 else 0.0625, peaks=machine, software={"python": python})

    def told(session, baselines):
        return [line for line in explain(session, baselines, scenario(0)) if "a core of the host" in line]

    said = (
        "a core of the host took 60.0% longer for the same loop beside the rounds, 1.25 -> 2 ms: look at the host first"
    )
    baselines = store(host(number, 0.00115 + 0.00005 * number) for number in range(5))
    assert told(host(9, 0.002), baselines) == [said]
    assert told(host(9, 0.00135), baselines) == [], "it was so before"
    assert told(host(9, 0.002), store([night(1), host(2, 0.001)])), "of those that say"
    assert told(host(9, 0.002), nights()) == []
    assert told(host(9, 0.002, "3.12.9"), baselines) == [said]
    assert told(host(9, 0.002, "3.11.3"), baselines) == [], "another Python's loop is another loop"


def test_without_one_sides_peaks_the_others_share_is_shown():
    only_now = explain(night(9, decode=0.0625, peaks=PEAKS, work=WORK), nights(), scenario(0))
    assert any(line.endswith("20 -> 16 GB/s, now 40% of this machine's read bandwidth") for line in only_now)
    only_before = explain(night(9, decode=0.0625, work=WORK), nights(peaks=PEAKS), scenario(0))
    assert any(line.endswith("-> 16 GB/s, before 50% of this machine's read bandwidth") for line in only_before)
    neither = explain(night(9, decode=0.0625, work=WORK), nights(), scenario(0))
    assert "decode reads 1 GB a step: 20 -> 16 GB/s" in neither


@pytest.mark.parametrize("work", [None, {}, {"decode_bytes": 1e9}, {"decode_bytes": 0, "decode_flop": 1}, "?"])
@pytest.mark.parametrize("peaks", [None, {}, {"read_bytes_s": 0, "flop_s": 1}, {"read_bytes_s": "fast"}, "?"])
def test_absent_or_odd_figures_make_no_line_and_no_crash(work, peaks):
    lines = explain(night(9, decode=0.0625, peaks=peaks, work=work), nights(peaks=peaks), scenario(0))
    assert not any("bandwidth" in line or "reads" in line for line in lines)
    assert lines[0].startswith("decode (tpot)")


def test_telemetry_of_another_tool_is_no_obstacle():
    odd = night(9, decode=0.0625)
    odd.telemetry = {"work": ["?"]}
    assert explain(odd, nights(), scenario(0))[0].startswith("decode (tpot)")


def test_what_the_server_told_of_itself_explains_its_row():
    """Through acceptance: the accepted sessions keep what their servers told."""

    def served(number, **figures):
        return night(number, decode=0.05 if number < 9 else 0.08, telemetry={"served": {scenario(0): figures}})

    baselines = store(served(number, preemptions=0.0, kv_cache_use=0.45) for number in range(5))
    lines = explain(served(9, preemptions=41.0, kv_cache_use=0.99), baselines, scenario(0))
    assert "preemptions 0 -> 41" in lines
    assert "KV cache use 45% -> 99%" in lines
    odd = served(9)
    odd.telemetry = {"served": ["?"]}
    assert not [line for line in explain(odd, baselines, scenario(0)) if "preemptions" in line]


def test_of_a_speculating_row_the_drafts_are_told_and_no_bandwidth():
    """Its time per token is not that of a step: only prefill has work that its time can be divided by."""
    work = {name: value for name, value in WORK.items() if name.startswith("prefill")}

    def speculated(number, acceptance):
        served = {scenario(0): {"preemptions": 0.0, "acceptance": acceptance}}
        telemetry = {"served": served, "work": {scenario(0): work}}
        return night(number, decode=0.05 if number < 9 else 0.2, peaks=PEAKS, telemetry=telemetry)

    lines = explain(speculated(9, 0.12), store(speculated(number, 0.6) for number in range(5)), scenario(0))
    assert "drafted tokens accepted 60% -> 12%" in lines
    assert not [line for line in lines if line.startswith("decode reads")]
    assert [line for line in lines if line.startswith("prefill computes")]


def test_what_the_engine_chose_for_itself_explains_its_row():
    """Through acceptance: the accepted sessions keep what their engines chose."""

    def chose(number, mode):
        groups = {scenario(0).rpartition(".b")[0]: {"engine": {"cudagraph_mode": mode}}}
        return night(number, decode=0.05 if number < 9 else 0.08, telemetry={"groups": groups})

    baselines = store(chose(number, "FULL") for number in range(5))
    assert "the engine's cudagraph_mode FULL -> NONE" in explain(chose(9, "NONE"), baselines, scenario(0))
    assert not [line for line in explain(chose(9, "FULL"), baselines, scenario(0)) if "engine's" in line]
