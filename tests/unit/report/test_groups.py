"""A group's heading: of a GPU its memory, power, energy and roofline; of a CPU its memory."""

from __future__ import annotations

import msgspec
import pytest
from sessions import GROUP, SCENARIO, round_event, session

from tokgate.report.groups import gpu_lines, heading_facts

pytestmark = pytest.mark.unit


def test_a_gpus_heading_is_about_the_gpu() -> None:
    assert heading_facts(session(), GROUP, [SCENARIO]) == "GPU memory 132.00 GiB, 400 W"
    assert heading_facts(session(round_event(0.1)), GROUP, [SCENARIO]) == "GPU memory 132.00 GiB"


def test_a_cpus_heading_is_its_memory_loading_included() -> None:
    rows = [row for row in session().rows if row.metric != "peak_gpu_memory"]
    found = session(kind="cpu", rows=rows, load_peak_bytes=5 * 2**30)
    assert heading_facts(found, GROUP, [SCENARIO]) == "peak 5.00 GiB"
    assert gpu_lines(found, GROUP, [SCENARIO]) == []


def test_a_gpu_group_says_what_holds_it_and_what_a_token_costs() -> None:
    assert gpu_lines(session(), GROUP, [SCENARIO]) == ["roofline: decode 50% (1 memory); 0.015 J/token"]


def test_of_several_rows_the_range_is_told() -> None:
    found = session()
    other = f"{GROUP}.b1.p5.o50"
    slower = [
        msgspec.structs.replace(row, scenario=other, launches=[[10 * row.launches[0][0]]])
        for row in found.rows
        if row.metric in ("tpot", "energy_per_token")
    ]
    found.rows = [*found.rows, *slower]
    found.telemetry["work"][other] = found.telemetry["work"][SCENARIO]
    (line,) = gpu_lines(found, GROUP, [SCENARIO, other])
    assert line == "roofline: decode 5-50% (1 memory, 1 overhead); 0.015-0.15 J/token"


def test_a_cold_start_is_told_and_a_warm_one_is_not() -> None:
    cold = gpu_lines(session(compiled={"triton": 40}), GROUP, [SCENARIO])
    assert cold[1:] == ["start 21 s, new in the caches (triton 40)"]


def test_an_unsteady_host_is_told_and_a_blip_is_none() -> None:
    steady = [{**round_event(0.1), "loop_s": [0.004, 0.0044]} for _ in range(19)]
    blip = {**round_event(0.1), "loop_s": [0.004, 0.04]}
    assert not any("unsteady" in line for line in gpu_lines(session(*steady, blip), GROUP, [SCENARIO]))
    slow = [{**round_event(0.1), "loop_s": [0.008, 0.008]} for _ in range(10)]
    last = gpu_lines(session(*steady, *slow), GROUP, [SCENARIO])[-1]
    assert last == "the host was unsteady: one core took 4.0-8.0 ms for the same work beside the rounds"


@pytest.mark.parametrize(("steady", "told"), [(8, True), (7, False)])
def test_of_few_probes_an_unsteady_host_is_not_told(steady: int, told: bool) -> None:
    """Two to a round: 20 are enough, 18 are not, though as many of them are slow."""
    fast, slow = ([{**round_event(0.1), "loop_s": [loop_s, loop_s]} for _ in range(10)] for loop_s in (0.004, 0.008))
    found = session(*fast[:steady], *slow[:2])
    assert any("unsteady" in line for line in gpu_lines(found, GROUP, [SCENARIO])) is told
