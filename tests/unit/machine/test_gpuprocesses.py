"""Whose processes are on a GPU: the family's are ours, and what /proc does not know is told by when it came."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from boards import NOT_SUPPORTED, Board, FakeNvml, NVMLError

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
