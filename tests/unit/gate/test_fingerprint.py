from __future__ import annotations

import pytest

from gate.examples import MACHINE, make_row, make_session, noisy_session, store
from tokgate.gate.fingerprint import changes_since, stable_differences

pytestmark = pytest.mark.unit


def test_stable_facts_that_differ_are_named():
    (found,) = stable_differences({"stable": {"mig": "off", "cores": 2}}, {"stable": {"mig": "1g", "cores": 2}})
    assert str(found) == "mig off -> 1g"


def test_a_fact_on_one_side_differs_unless_the_other_records_none():
    assert len(stable_differences({"stable": {"cores": 2}}, {"stable": {"cores": 2, "mig": "off"}})) == 1
    assert stable_differences({"stable": {"cores": 2}}, {}) == []
    assert stable_differences({}, {"stable": {"cores": 2}}) == []


def test_what_changed_since_acceptance_is_told_from_what_always_changes():
    def night(number, version, driver, **facts):
        machine = {"id": MACHINE, "kind": "cpu", "gpu": {"driver": driver}, "free_bytes": number, **facts}
        return make_session(number, [make_row([[1]])], machine=machine, software={"vllm": version})

    baselines = store(night(number, "0.26.0", "580.1") for number in range(3))
    found = changes_since(baselines, night(9, "0.27.0", "580.2", governor="powersave"))
    assert {str(item) for item in found} == {
        "vllm 0.26.0 -> 0.27.0",
        "governor absent -> powersave",
        "gpu.driver 580.1 -> 580.2",
    }


def test_a_version_seen_before_is_no_change():
    old = make_session(0, [make_row([[1]])], software={"vllm": "0.25.0"})
    new = make_session(1, [make_row([[1]])], software={"vllm": "0.26.0"})
    now = make_session(2, [make_row([[1]])], software={"vllm": "0.25.0"})
    assert changes_since(store([old, new]), now) == []
    assert changes_since([], noisy_session(1)) == []


def test_the_machines_peaks_are_measured_anew_each_night_and_no_change():
    def night(number, read_bytes_s):
        measured = {"read_bytes_s": read_bytes_s, "flop_s": 1e11}
        return make_session(number, [make_row([[1]])], machine={"id": MACHINE, "kind": "cpu", "measured": measured})

    baselines = store([night(0, 30e9), night(1, 30e9)])
    assert changes_since(baselines, night(9, 31e9)) == []
    assert changes_since(store([make_session(0, [make_row([[1]])])]), night(9, 31e9)) == []


def test_facts_beside_the_id_count_as_stable_by_their_names():
    """A file of another tool has no "stable": what a machine is differs, how it fares does not count."""
    before = {
        "id": "nvidia-t4",
        "kind": "gpu",
        "power_limit_w": 70,
        "mig": "off",
        "memory_free_mib": 9,
        "driver": "535",
    }
    assert stable_differences(before, {**before, "memory_free_mib": 8, "driver": "580"}) == []
    assert [str(found) for found in stable_differences(before, {**before, "power_limit_w": 60})] == [
        "power_limit_w 70 -> 60"
    ]
