"""Probes measure the machine, and the band tells a busy one from a quiet one."""

from __future__ import annotations

import pytest

from tokgate.machine.memory import peak_rss_bytes
from tokgate.machine.probe import (
    ProbeBand,
    last_level_cache_bytes,
    loop_probe,
    matmul_probe,
    matmul_rate,
    measured_peaks,
    peaks,
    read_bandwidth,
)

pytestmark = pytest.mark.unit


def test_matmul_probe_is_short_and_takes_time():
    assert 0.001 < matmul_probe(2) < 2


def test_loop_probe_is_short_and_takes_time():
    assert 0.0005 < loop_probe() < 1


def test_read_bandwidth_is_of_a_plausible_size():
    assert 1e8 < read_bandwidth(2, size_bytes=32 << 20, repeats=2) < 1e13


def test_matmul_rate_is_of_a_plausible_size():
    assert 1e8 < matmul_rate(1, least_s=0) < 1e14


def band_of(*probes_s: float) -> ProbeBand:
    band = ProbeBand(width=0.25)
    band.add(*probes_s)
    return band


def test_a_band_names_how_much_slower_and_the_limit():
    fault = band_of(0.020, 0.020, 0.020, 0.021).fault(0.0268, 0.030)
    assert fault is not None
    assert fault.startswith("probe 34% slower than this launch's best (26.8 ms against 20.0 ms, limit 25%)")


def test_within_the_band_nothing_is_said():
    assert band_of(0.020, 0.021).fault(0.022, 0.024) is None


def test_a_blip_on_one_side_of_a_round_is_no_fault():
    assert band_of(0.020, 0.020, 0.020).fault(0.060, 0.020) is None


def test_one_lucky_probe_does_not_condemn_the_rest():
    """Seen on a shared host: 31 ms as a rule, and 21 ms once in a while."""
    assert band_of(0.021, 0.031, 0.031, 0.030, 0.031, 0.031).fault(0.031, 0.032) is None


def test_the_level_is_learned_from_the_rounds_too():
    band = band_of(0.040, 0.040, 0.040)
    for _ in range(8):
        assert band.fault(0.020, 0.020) is None
    assert band.fault(0.040, 0.040) is not None


def test_a_band_without_probes_has_no_level():
    with pytest.raises(ValueError, match="no probe"):
        ProbeBand().quiet_s()


def test_peaks_come_from_a_process_of_its_own_with_the_engines_threads():
    before = peak_rss_bytes()
    found = measured_peaks(1, timeout_s=120)
    assert 1e8 < found["read_bytes_s"] < 1e13
    assert 1e8 < found["flop_s"] < 1e14
    assert peak_rss_bytes() - before < 64 << 20, "the caller's peak memory has nothing to do with it"


def test_a_probe_that_fails_says_why():
    with pytest.raises(RuntimeError, match="invalid literal"):
        measured_peaks("many", timeout_s=120)


def test_too_little_memory_measures_nothing_rather_than_caches(tree):
    small = tree({"proc/meminfo": "MemTotal: 500000 kB\nMemAvailable: 200000 kB\n"})
    with pytest.raises(MemoryError, match="195 MiB are free"):
        peaks(2, small)


def test_caches_count_once_however_many_cpus_share_them(tree):
    files = {"sys/devices/system/cpu/online": "0-3\n", "proc/self/status": "Cpus_allowed_list:\t0-3\n"}
    for cpu in range(4):
        cache = f"sys/devices/system/cpu/cpu{cpu}/cache/index3"
        files |= {f"{cache}/size": "32768K\n", f"{cache}/shared_cpu_list": f"{cpu // 2 * 2}-{cpu // 2 * 2 + 1}\n"}
    assert last_level_cache_bytes(tree(files)) == 64 << 20
