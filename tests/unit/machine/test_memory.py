"""Memory that may be used, and that was used."""

from __future__ import annotations

import os
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


def status(parent: int, peak_kib: int, pid: int) -> dict[str, str]:
    return {
        f"proc/{pid}/stat": f"{pid} (x) S {parent} 1 1 0 -1 4194304 0 0 0 0 5 0 0 0 20 0 1 0 7 0 0\n",
        f"proc/{pid}/status": f"Name:\tx\nVmHWM:\t {peak_kib} kB\n",
    }


def test_a_familys_peak_is_the_sum_of_its_processes(tree, recorded):
    """vLLM's engine is a child of the worker, and its workers are children of the engine's."""
    me = os.getpid()
    family = [status(1, 2048, me), status(me, 1000, me + 1), status(me + 1, 500, me + 2)]
    zombie = {f"proc/{me + 3}/stat": status(me, 0, me + 3)[f"proc/{me + 3}/stat"]}
    root = tree(recorded["ice lake"], *family, status(1, 7777, me + 9), zombie)
    assert memory.family_peak_rss_bytes(root) == (2048 + 1000 + 500) * 1024


def test_a_family_starts_anew_as_far_as_it_may(tree, recorded):
    me = os.getpid()
    root = tree(recorded["ice lake"], status(1, 2048, me), status(me, 1000, me + 1))
    assert memory.reset_family_peak_rss(root)
    assert (root / f"proc/{me + 1}/clear_refs").read_text() == "5"
    (root / f"proc/{me + 1}/clear_refs").unlink()
    (root / f"proc/{me + 1}/clear_refs").mkdir()
    assert not memory.reset_family_peak_rss(root)


def test_a_childs_peak_counts_while_it_lives():
    code = (
        "import subprocess, sys\nfrom tokgate.machine.memory import family_peak_rss_bytes, reset_family_peak_rss\n"
        "before = family_peak_rss_bytes()\n"
        "body = \"block = b'x' * (64 << 20); print('up', flush=True); input()\"\n"
        "child = subprocess.Popen([sys.executable, '-c', body], stdin=-1, stdout=-1, text=True)\n"
        "child.stdout.readline()\n"
        "with_child = family_peak_rss_bytes(); child.communicate('')\n"
        "print(with_child - before, family_peak_rss_bytes() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown, after = map(int, done.stdout.split())
    assert grown > 60 << 20
    assert after < 20 << 20


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
