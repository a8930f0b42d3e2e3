"""Whose processes are on a GPU: the family's are ours, and what /proc does not know is told by when it came."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from boards import NOT_SUPPORTED, Board, FakeNvml, NVMLError

from tokgate.machine import gpuprocesses
from tokgate.machine.gpuprocesses import GpuTenants, Unseen, foreign_now, unseen_now
from tokgate.machine.gpuuse import GpuProcess
from tokgate.machine.nvml import Device

pytestmark = pytest.mark.unit

GB = 10**9
ME = os.getpid()
CHILD, STRANGER, HOSTS, LATER = ME + 1, 71, 900_001, 900_002
NOBODY = Unseen(1, frozenset())


@pytest.fixture
def proc(tree) -> Path:
    """This process, a child of it, and a stranger; the other ids are those of another name space."""

    def stat(pid: int, name: str, parent: int) -> str:
        return f"{pid} ({name}) S {parent} 1 1 0 -1 4194304 0 0 0 0 5 0 0 0 20 0 1 0 7 0 0\n"

    return tree(
        {
            f"proc/{ME}/stat": stat(ME, "pytest", 1),
            f"proc/{CHILD}/stat": stat(CHILD, "VLLM::EngineCore", ME),
            f"proc/{STRANGER}/stat": stat(STRANGER, "train.py", 1),
        }
    )


@pytest.fixture
def board() -> Board:
    return Board("GPU-1", sm_pct={})


def devices(*boards: Board) -> list[Device]:
    return [Device(board.uuid, board, board) for board in boards]


def others(board: Board, proc: Path, before: Unseen = NOBODY) -> list[tuple[int, float | None]]:
    tenants = GpuTenants(FakeNvml(board), devices(board), before, proc)
    tenants.start()
    return [(other.pid, other.sm_share) for other in tenants.stop()]


def test_the_family_is_never_foreign(board, proc):
    board.processes = {ME: GB, CHILD: 100 * GB}
    board.sm_pct = {CHILD: 99}
    assert others(board, proc) == []


def test_a_stranger_is_named_with_what_it_holds_and_does(board, proc):
    board.processes, board.sm_pct = {CHILD: GB, STRANGER: 8 * GB}, {CHILD: 60, STRANGER: 30}
    tenants = GpuTenants(FakeNvml(board), devices(board), NOBODY, proc)
    tenants.start()
    assert tenants.stop() == (GpuProcess("train.py", STRANGER, 8 * GB, 0.3),)


def test_a_stranger_that_is_idle_is_there_and_did_nothing(board, proc):
    board.processes, board.sm_pct = {STRANGER: GB}, {CHILD: 60}
    assert others(board, proc) == [(STRANGER, 0.0)]


def test_a_driver_that_keeps_no_record_says_so_of_each(board, proc):
    board.processes, board.sm_pct = {STRANGER: GB}, None
    assert others(board, proc) == [(STRANGER, None)]


def test_an_unseen_id_that_came_with_the_engine_is_ours(board, proc):
    """In a container NVML may number our own processes as the host does."""
    board.processes = {HOSTS: 100 * GB}
    assert others(board, proc, before=NOBODY) == []


def test_an_engine_that_is_known_by_what_it_computes_alone_is_ours(board, proc):
    """Some drivers list no processes in a container, and yet tell by the host's ids who computed."""
    board.sm_pct = {HOSTS: 95}
    assert others(board, proc, before=NOBODY) == []
    before = unseen_now(FakeNvml(board), devices(board), proc)
    assert others(board, proc, before) == [(HOSTS, 0.95)]


def test_the_library_raises_success_where_nobody_computed(board, proc):
    class Fake(FakeNvml):
        def nvmlDeviceGetProcessUtilization(self, board: Board, since_us: int) -> list[object]:
            raise NVMLError(0)

    board.processes = {STRANGER: GB}
    tenants = GpuTenants(Fake(board), devices(board), NOBODY, proc)
    tenants.start()
    assert [other.sm_share for other in tenants.stop()] == [0.0]


def test_an_unseen_id_that_was_there_before_the_engine_is_foreign(board, proc):
    board.processes = {HOSTS: 100 * GB}
    before = unseen_now(FakeNvml(board), devices(board), proc)
    assert others(board, proc, before) == [(HOSTS, 0.0)]


def test_an_unseen_id_that_comes_later_is_foreign(board, proc):
    tenants = GpuTenants(FakeNvml(board), devices(board), NOBODY, proc)
    tenants.start()
    board.processes, board.sm_pct = {LATER: GB}, {LATER: 12}
    assert tenants.stop() == (GpuProcess("a process of another container", LATER, GB, 0.12),)


def test_one_that_came_and_went_within_the_round_is_seen_by_what_it_did(board, proc):
    tenants = GpuTenants(FakeNvml(board), devices(board), NOBODY, proc)
    tenants.start()
    board.sm_pct = {STRANGER: 5}
    assert tenants.stop() == (GpuProcess("train.py", STRANGER, None, 0.05),)


class Clock:
    """The driver's, which stands still until it is set."""

    at_s = 1000.0

    def __call__(self) -> int:
        return round(1e6 * self.at_s)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(gpuprocesses, "_now_us", made)
    return made


def round_of(tenants: GpuTenants, clock: Clock, lasts_s: float) -> list[tuple[int, float | None]]:
    tenants.start()
    clock.at_s += lasts_s
    return [(other.pid, other.sm_share) for other in tenants.stop()]


def test_a_stranger_at_work_is_seen_in_every_round_however_short(board, proc, clock):
    """It is noted once a second; most rounds of 30 ms have no sample of their own."""
    board.processes, board.sm_pct = {STRANGER: GB}, {STRANGER: 40}
    tenants = GpuTenants(FakeNvml(board), devices(board), NOBODY, proc)
    for _ in range(60):
        board.sm_at_us = round(1e6 * int(clock.at_s + 0.03))
        assert round_of(tenants, clock, 0.03) == [(STRANGER, 0.4)]
        clock.at_s += 0.02


@pytest.mark.parametrize(("lasts_s", "ago_s"), [(0.03, 1.0), (2.0, 0.1)])
def test_what_a_stranger_did_earlier_is_nothing_to_a_round_beside_which_it_is_idle(board, proc, clock, lasts_s, ago_s):
    board.processes, board.sm_pct = {STRANGER: GB}, {STRANGER: 40}
    board.sm_at_us = round(1e6 * (clock.at_s - ago_s))
    tenants = GpuTenants(FakeNvml(board), devices(board), NOBODY, proc)
    assert round_of(tenants, clock, lasts_s) == [(STRANGER, 0.0)]


def test_a_long_round_is_told_by_all_of_its_samples(board, proc, clock):
    board.processes, board.sm_pct = {STRANGER: GB}, {STRANGER: 40}
    board.sm_at_us = round(1e6 * (clock.at_s + 0.5))
    tenants = GpuTenants(FakeNvml(board), devices(board), NOBODY, proc)
    assert round_of(tenants, clock, 20.0) == [(STRANGER, 0.4)]


def test_one_that_is_known_to_have_ended_before_the_round_disturbs_nothing(board, proc, clock):
    board.sm_pct, board.sm_at_us = {STRANGER: 40}, round(1e6 * clock.at_s)
    tenants = GpuTenants(FakeNvml(board), devices(board), NOBODY, proc)
    assert round_of(tenants, clock, 0.03) == [(STRANGER, 0.4)]
    (proc / f"proc/{STRANGER}/stat").unlink()
    assert round_of(tenants, clock, 0.03) == []


def test_one_of_which_only_the_driver_knows_may_be_there_still(board, proc, clock):
    """Of another container: by the host's ids, and on no list."""
    tenants = GpuTenants(FakeNvml(board), devices(board), NOBODY, proc)
    board.sm_pct, board.sm_at_us = {LATER: 40}, round(1e6 * clock.at_s)
    clock.at_s += 0.5
    assert round_of(tenants, clock, 0.03) == [(LATER, 0.4)]
    assert round_of(tenants, clock, 0.03) == [(LATER, 0.4)]


def test_one_of_the_family_that_ended_is_ours_still(board, proc, clock):
    """Before the round or in it; nor is it another's while it lives."""
    board.processes, board.sm_pct = {CHILD: GB}, {CHILD: 90}
    tenants = GpuTenants(FakeNvml(board), devices(board), NOBODY, proc)
    tenants.start()
    (proc / f"proc/{CHILD}/stat").unlink()
    assert tenants.stop() == ()
    assert round_of(tenants, clock, 0.03) == []


def test_memory_that_is_not_told_is_none_and_that_of_several_gpus_adds_up(proc):
    one, two = Board("GPU-1", sm_pct={}), Board("GPU-2", sm_pct={})
    one.processes, two.processes = {STRANGER: GB, 72: None}, {STRANGER: 2 * GB, 72: (1 << 64) - 1}
    tenants = GpuTenants(FakeNvml(one, two), devices(one, two), Unseen(1, frozenset({72})), proc)
    tenants.start()
    assert {other.pid: other.memory_bytes for other in tenants.stop()} == {STRANGER: 3 * GB, 72: None}


def test_a_driver_that_lists_nobody_shows_nobody(board, proc):
    board.errors["nvmlDeviceGetComputeRunningProcesses"] = NOT_SUPPORTED
    assert others(board, proc) == []
    assert unseen_now(FakeNvml(board), devices(board), proc).ids == frozenset()


def test_who_is_on_a_gpu_that_is_not_in_use_here(board, proc):
    board.processes = {STRANGER: GB}
    assert foreign_now(FakeNvml(board), devices(board)[0], proc) == [GpuProcess("train.py", STRANGER, GB, None)]
