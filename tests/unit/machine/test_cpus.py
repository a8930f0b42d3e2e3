"""How many threads an engine may use: affinity and quota, as the control groups really set them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tokgate.machine import cgroup
from tokgate.machine.cpus import cpu_quota, usable_cores, usable_cpus
from tokgate.machine.files import cpu_list

pytestmark = pytest.mark.unit


def test_real_affinity_is_the_threads_own():
    assert usable_cpus() == frozenset(os.sched_getaffinity(0))
    assert 1 <= usable_cores() <= len(usable_cpus())


def test_narrowed_affinity_is_followed():
    cpu = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, {{{cpu}}})\n"
        "from tokgate.machine.cpus import usable_cores, usable_cpus\n"
        "print(usable_cores(), *usable_cpus())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", str(cpu)]


def test_recorded_affinity_is_what_is_allowed_and_online(tree, recorded):
    root = tree(recorded["ice lake"], {"sys/devices/system/cpu/online": "0-2,5"})
    assert usable_cpus(root) == {0, 1, 2, 5}


def test_no_quota_leaves_the_affinity(tree, recorded):
    root = tree(recorded["ice lake"])
    assert cpu_quota(root) is None
    assert usable_cores(root) == 8


def test_quota_of_a_parent_group_holds(tree, recorded):
    root = tree(recorded["ice lake"], recorded["pod v2"])
    assert cpu_quota(root) == 2.5
    assert usable_cores(root) == 2


def test_v1_quota_is_found_through_the_containers_own_mount(tree, recorded):
    root = tree(recorded["ice lake"], recorded["docker v1"])
    assert cpu_quota(root) == 1.5
    assert usable_cores(root) == 1


def test_v1_minus_one_is_no_quota(tree, recorded):
    root = tree(recorded["docker v1"], {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n"})
    assert cpu_quota(root) is None


def test_limits_stand_at_the_mount_point_in_a_private_name_space(tree, recorded):
    root = tree(
        recorded["ice lake"],
        recorded["pod v2"],
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"},
    )
    assert cpu_quota(root) == 0.5
    assert usable_cores(root) == 1, "less than a CPU still is one thread"


@pytest.mark.parametrize("path", ["/../../other", "/gone/since"])
def test_a_path_that_cannot_be_followed_falls_back_to_the_mount_point(tree, recorded, path):
    files = {"proc/self/cgroup": f"0::{path}\n", "sys/fs/cgroup/cpu.max": "300000 100000\n"}
    assert cpu_quota(tree(recorded["ice lake"], recorded["pod v2"], files)) == 3


def test_throttling_is_read_in_both_versions(tree, recorded, tmp_path):
    v2 = tree(recorded["pod v2"])
    v1 = tree(recorded["docker v1"], root=tmp_path / "v1")
    assert cgroup.throttled_s(cgroup.hierarchy("cpu", v2)) == pytest.approx(1.5)
    assert cgroup.throttled_s(cgroup.hierarchy("cpu", v1)) == pytest.approx(2.5)
    assert cgroup.throttled_s(None) == 0


@pytest.mark.parametrize(
    ("text", "cpus"), [("0-3,8", {0, 1, 2, 3, 8}), ("5", {5}), ("", set()), ("0,2-3\n", {0, 2, 3})]
)
def test_kernel_lists_are_read(text, cpus):
    assert cpu_list(text) == cpus
