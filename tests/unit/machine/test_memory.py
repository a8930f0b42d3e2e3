"""Memory that may be used, and that was used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tokgate.machine import memory

pytestmark = pytest.mark.unit

GIB = 1 << 30


def test_without_limits_the_machine_decides(tree, recorded):
    root = tree(recorded["ice lake"])
    assert memory.total_bytes(root) == 16_393_000 * 1024
    assert memory.available_bytes(root) == 16_393_000 // 2 * 1024


def test_v2_limit_counts_inactive_page_cache_as_free(tree, recorded):
    """A build leaves gigabytes of page cache; the kernel drops it before it kills anybody."""
    root = tree(recorded["ice lake"], recorded["pod v2"])
    assert memory.total_bytes(root) == 4 * GIB
    assert memory.available_bytes(root) == 2 * GIB


def test_v1_limit_holds(tree, recorded):
    root = tree(recorded["ice lake"], recorded["docker v1"])
    assert (memory.total_bytes(root), memory.available_bytes(root)) == (2 * GIB, 1 * GIB)


def test_v1_unlimited_is_no_limit(tree, recorded):
    unlimited = {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}
    root = tree(recorded["ice lake"], recorded["docker v1"], unlimited)
    assert memory.total_bytes(root) == 16_393_000 * 1024


def test_peak_and_swap_are_the_process_own(tree, recorded):
    root = tree(recorded["ice lake"])
    assert memory.peak_rss_bytes(root) == 2048 * 1024
    assert memory.swapped_bytes(root) == 12 * 1024
    assert memory.reset_peak_rss(root / "nowhere") is False


def test_peak_follows_an_allocation_and_its_reset():
    code = (
        "from tokgate.machine.memory import peak_rss_bytes as peak, reset_peak_rss\n"
        "before = peak(); block = b'x' * (64 << 20); during = peak(); del block\n"
        "print(during - before, reset_peak_rss(), peak() - during)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown, was_reset, after = done.stdout.split()
    assert int(grown) > 60 << 20
    assert int(after) < -(50 << 20) if was_reset == "True" else int(after) >= 0
