"""Who used the CPUs during a round: own work is own, other work is named, and limits say what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tokgate.machine import processes
from tokgate.machine.processes import Offender, Process
from tokgate.machine.telemetry import DisturbanceLimits, RoundUse, RoundWatch, cpu_times, disturbance

pytestmark = pytest.mark.unit

ROOT = Path("/")
BUSY = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nprint('on', flush=True)\nwhile True: pass"
WATCH = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from tokgate.machine.processes import read_process
from tokgate.machine.telemetry import DisturbanceLimits, RoundWatch, disturbance
pid = int(sys.argv[1])
used_s = lambda: read_process(Path("/"), pid).cpu_s
watch = RoundWatch(most_offenders=99)  # the machine that runs the tests may be busy
watch.start()
start_s = used_s()
while used_s() < start_s + 0.4:
    pass
use = watch.stop()
print(json.dumps([asdict(use), disturbance(use, DisturbanceLimits())]))
"""
QUIET = RoundUse(
    wall_s=1.0, own_cpu_s=1.9, busy_s=1.95, steal_s=0.0, foreign_s=0.05, cores=2, foreign_share=0.025,
    offenders=(), swapped_in_pages=0, swapped_out_pages=0, throttled_s=0.0,
)  # fmt: skip


def start_busy() -> subprocess.Popen[str]:
    """A process that burns one of the CPUs this one may use."""
    cpu = max(os.sched_getaffinity(0))
    process = subprocess.Popen([sys.executable, "-c", BUSY, str(cpu)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "on\n"
    return process


def wait_for_cpu(pid: int, cpu_s: float) -> None:
    while (process := processes.read_process(ROOT, pid)) is not None and process.cpu_s < cpu_s:
        time.sleep(0.005)


def burn(cpu_s: float) -> None:
    until = time.process_time() + cpu_s
    while time.process_time() < until:
        pass


def test_a_process_that_is_counted_with_this_one_is_no_stranger():
    with start_busy() as busy:
        try:
            told = WATCH.replace("most_offenders=99", "most_offenders=99, also=frozenset({pid})")
            done = subprocess.run(
                [sys.executable, "-c", told, str(busy.pid)], capture_output=True, text=True, check=True
            )
        finally:
            busy.kill()
    use, _ = json.loads(done.stdout)
    assert use["own_cpu_s"] > 0.4, "its work is own work"
    assert busy.pid not in [pid for _, pid, _ in use["offenders"]]


def test_a_busy_stranger_is_foreign_and_named():
    with start_busy() as busy:
        try:
            command = [sys.executable, "-c", WATCH, str(busy.pid)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        finally:
            busy.kill()
    use, sentence = json.loads(done.stdout)
    assert use["foreign_s"] > 0.3
    assert busy.pid in [pid for _, pid, _ in use["offenders"]]
    assert use["own_cpu_s"] > 0.05, "the watcher was busy itself, and that is not foreign"
    assert use["busy_s"] == pytest.approx(use["own_cpu_s"] + use["foreign_s"])
    assert f"pid {busy.pid}" in sentence
    assert "stop them, or measure at a quieter time" in sentence


def test_own_work_is_not_foreign():
    watch = RoundWatch()
    watch.start()
    burn(0.2)
    use = watch.stop()
    assert 0.2 <= use.own_cpu_s < 0.5
    assert use.foreign_s == max(0.0, use.busy_s - use.own_cpu_s)
    assert os.getpid() not in [offender.pid for offender in use.offenders]


def test_a_quiet_interval_is_nobodys():
    watch = RoundWatch()
    watch.start()
    watch.stop()
    watch.start()
    use = watch.stop()
    assert use.own_cpu_s < 0.05
    assert use.throttled_s >= 0
    assert use.cores == len(os.sched_getaffinity(0))


def test_children_that_live_through_the_round_are_own():
    with start_busy() as child:
        try:
            watch = RoundWatch()
            watch.start()
            before = processes.read_process(ROOT, child.pid)
            assert before is not None
            wait_for_cpu(child.pid, before.cpu_s + 0.2)
            use = watch.stop()
        finally:
            child.kill()
    assert use.own_cpu_s >= 0.15
    assert child.pid not in [offender.pid for offender in use.offenders]


def test_children_that_start_in_the_round_are_own():
    watch = RoundWatch()
    watch.start()
    with start_busy() as child:
        try:
            wait_for_cpu(child.pid, 0.2)
            use = watch.stop()
        finally:
            child.kill()
    assert use.own_cpu_s >= 0.15
    assert child.pid not in [offender.pid for offender in use.offenders]


def test_children_that_live_at_the_start_and_end_in_the_round_count_once():
    child = start_busy()
    wait_for_cpu(child.pid, 0.3)
    watch = RoundWatch()
    watch.start()
    child.kill()
    child.communicate()
    use = watch.stop()
    assert use.own_cpu_s < 0.2, "what it used before the round is not the round's"


def test_stop_without_start_is_a_mistake():
    with pytest.raises(RuntimeError, match="without start"):
        RoundWatch().stop()


def stat_line(pid: int, name: str, parent: int, ticks: int, ended_children: int = 0, started: int = 7) -> str:
    times = f"{ticks} 0 {ended_children} 0"
    return f"{pid} ({name}) S {parent} 1 1 0 -1 4194304 0 0 0 0 {times} 20 0 1 0 {started} 0 0\n"


def recorded_edge(busy: int, steal: int, swapped: int, throttled_usec: int, spinner: int) -> dict[str, str]:
    """One edge of a round on a recorded machine of four CPUs, two of them usable; times in ticks of 10 ms."""
    return {
        "proc/self/status": "Cpus_allowed_list:\t0-1\n",
        "proc/stat": (
            f"cpu  99999 0 0 0 0 0 0 0 0 0\ncpu0 {busy} 0 0 100 5 0 0 {steal} 0 0\n"
            "cpu1 0 0 0 100 0 0 0 0 0 0\ncpu2 88888 0 0 0 0 0 0 0 0 0\nintr 1\n"
        ),
        "proc/vmstat": f"nr_free_pages 7\npswpin {swapped}\npswpout 0\n",
        "proc/71/stat": stat_line(71, "spin) (ner", 1, spinner),
        "proc/71/status": "Cpus_allowed_list:\t0-3\n",
        "proc/72/stat": stat_line(72, "elsewhere", 1, spinner * 2),
        "proc/72/status": "Cpus_allowed_list:\t2-3\n",
        "sys/fs/cgroup/kubepods/pod1/cpu.stat": f"throttled_usec {throttled_usec}\n",
    }


def watch_recorded(tree, recorded, first: dict[str, str], last: dict[str, str]) -> RoundUse:
    root = tree(recorded["ice lake"], recorded["pod v2"], first)
    watch = RoundWatch(root=root)
    watch.start()
    tree(last, root=root)
    return watch.stop()


@pytest.mark.skipif(processes.TICK_S != 0.01, reason="the recording ticks at 100 Hz")
def test_a_recorded_round_is_read_whole(tree, recorded):
    use = watch_recorded(tree, recorded, recorded_edge(100, 0, 5, 0, 10), recorded_edge(190, 0, 905, 40_000, 100))
    assert use.busy_s == pytest.approx(0.9)
    assert use.cores == 2
    assert use.foreign_s == pytest.approx(0.9, abs=0.1)
    assert use.swapped_in_pages == 900
    assert use.throttled_s == pytest.approx(0.04)
    assert [(offender.name, offender.pid) for offender in use.offenders] == [("spin) (ner", 71)]
    assert use.offenders[0].cpu_s == pytest.approx(0.9)


@pytest.mark.skipif(processes.TICK_S != 0.01, reason="the recording ticks at 100 Hz")
def test_the_hypervisor_is_named_when_it_took_the_time(tree, recorded):
    use = watch_recorded(tree, recorded, recorded_edge(0, 0, 0, 0, 0), recorded_edge(10, 80, 0, 0, 10))
    assert use.steal_s == pytest.approx(0.8)
    assert use.offenders[0] == Offender("hypervisor (steal)", 0, pytest.approx(0.8))
    assert "hypervisor (steal): 0.8 s" in str(disturbance(use, DisturbanceLimits()))


def test_cpus_that_are_not_listed_count_as_the_whole_machine():
    """lxcfs shows a container its CPUs renumbered from 0."""
    stat = "cpu  10 0 0 50 0 0 0 5 0 0\ncpu0 10 0 0 50 0 0 0 5 0 0\n"
    times = cpu_times(stat, frozenset({12}))
    assert times.busy_s == pytest.approx(15 * processes.TICK_S)
    assert times.steal_s == pytest.approx(5 * processes.TICK_S)


def process(pid: int, parent: int, cpu_s: float, started: int = 1) -> Process:
    return Process(pid, f"p{pid}", parent, started, cpu_s)


def by_pid(*listed: Process) -> dict[int, Process]:
    return {one.pid: one for one in listed}


def used(before: dict[int, Process], after: dict[int, Process]) -> dict[int, float]:
    return {offender.pid: round(offender.cpu_s, 6) for offender in processes.used_between(before, after)}


def test_children_that_ended_count_with_the_parent_who_waited():
    """A compile is many processes of 10 ms; make is what can be named."""
    before = by_pid(process(1, 0, 5.0), process(2, 1, 3.0))
    after = by_pid(process(1, 0, 9.0))
    assert used(before, after) == {1: 1.0}, "3 of the 4 s were used by the child before"


def test_a_reused_pid_is_a_new_process():
    before = by_pid(process(5, 1, 8.0, started=1))
    after = by_pid(process(5, 1, 0.5, started=2))
    assert used(before, after) == {5: 0.5}


def test_descendants_are_found_at_any_depth():
    family = by_pid(process(2, 1, 0), process(3, 2, 0), process(4, 3, 0), process(9, 1, 0))
    assert processes.descendants(family, 2) == {3, 4}


@pytest.mark.parametrize("content", [b"", b"7 (gone", b"7 (x) S 1 2"])
def test_a_process_that_vanishes_while_it_is_read_is_nobody(tmp_path, content):
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/stat").write_bytes(content)
    assert processes.scan(tmp_path) == {}
    assert processes.read_process(tmp_path, 8) is None


def test_a_quiet_round_is_not_disturbed():
    assert disturbance(QUIET, DisturbanceLimits()) is None


def test_foreign_load_must_pass_share_and_seconds():
    """A tick of 10 ms is a fifth of a round of 50 ms: shares of short rounds mean nothing alone."""
    short = replace(QUIET, wall_s=0.05, foreign_s=0.03, foreign_share=0.3)
    assert disturbance(short, DisturbanceLimits()) is None
    loaded = replace(QUIET, foreign_s=0.62, foreign_share=0.31, offenders=(Offender("python3", 4711, 1.9),))
    assert disturbance(loaded, DisturbanceLimits()) == (
        "others took 31% of the 2 cores (limit 5%; python3 pid 4711: 1.9 s): stop them, or measure at a quieter time"
    )


def test_load_that_nobody_can_be_blamed_for_says_so():
    loaded = replace(QUIET, foreign_s=0.62, foreign_share=0.31)
    assert "by none that can be seen from here" in str(disturbance(loaded, DisturbanceLimits()))


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"swapped_out_pages": 65}, "65 pages were swapped (limit 64)"),
        ({"throttled_s": 0.02}, "withheld 0.02 s of CPU time in 1.00 s (limit 1%)"),
    ],
)
def test_swap_and_throttling_disturb(change, seen):
    assert seen in str(disturbance(replace(QUIET, **change), DisturbanceLimits()))
    assert disturbance(QUIET, DisturbanceLimits()) is None


def test_all_faults_are_told():
    both = replace(QUIET, swapped_in_pages=900, throttled_s=0.5)
    assert str(disturbance(both, DisturbanceLimits())).count(" (limit") == 2


def test_a_use_travels_as_json():
    assert json.loads(json.dumps(asdict(QUIET)))["cores"] == 2
