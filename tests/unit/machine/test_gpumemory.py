"""Memory that others hold before an engine is loaded: waited for, then told with who holds it and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from boards import NOT_SUPPORTED, Board, FakeNvml

from tokgate.errors import MeasurementError
from tokgate.machine.gpumemory import await_free
from tokgate.machine.nvml import Device
from tokgate.machine.watch import GpuWatch

pytestmark = pytest.mark.unit

ORPHAN = 77


@pytest.fixture
def proc(tree) -> Path:
    """An engine whose worker crashed: init has adopted it."""
    stat = f"{ORPHAN} (VLLM::EngineCore) S 1 1 1 0 -1 4194304 0 0 0 0 5 0 0 0 20 0 1 0 7 0\n"
    return tree({f"proc/{ORPHAN}/stat": stat})


def devices(*boards: Board) -> list[Device]:
    return [Device(board.uuid, board, board) for board in boards]


def refusal(root: Path, *boards: Board) -> str:
    with pytest.raises(MeasurementError) as error:
        await_free(FakeNvml(*boards), devices(*boards), 0, root)
    return str(error.value)


def test_an_orphan_is_named_with_what_it_holds_and_how_to_be_rid_of_it(proc):
    board = Board("GPU-1", used_mib=130_000, processes={ORPHAN: 136 * 10**9})
    assert refusal(proc, board) == (
        "136.3 of 150.8 GB of GPU GPU-1 are held before anything is loaded (limit 10%), by VLLM::EngineCore pid 77: "
        "136.0 GB: stop them (one that outlived a crash: kill -9 PID), or choose another GPU with CUDA_VISIBLE_DEVICES"
    )


def test_memory_that_nobody_is_seen_to_hold_is_told_too(proc):
    assert "held before anything is loaded (limit 10%), by none that can be seen" in refusal(
        proc, Board("GPU-1", used_mib=20_000)
    )


def test_of_several_gpus_those_that_are_held_are_told(proc):
    said = refusal(proc, Board("GPU-1"), Board("GPU-2", used_mib=20_000))
    assert "GPU-2" in said
    assert "GPU-1" not in said


def test_the_drivers_own_share_and_a_gpu_that_does_not_tell_are_free(proc):
    silent = Board("GPU-2", used_mib=20_000, errors={"nvmlDeviceGetMemoryInfo": NOT_SUPPORTED})
    # A T4's driver keeps 3% of its memory.
    boards = [Board("GPU-1", memory_mib=16384, used_mib=500), silent]
    await_free(FakeNvml(*boards), devices(*boards), 0, proc)


def test_what_the_launch_before_held_is_waited_for(proc):
    """The driver takes it back a moment after the process is gone."""

    class Releasing(FakeNvml):
        asked = 0

        def nvmlDeviceGetMemoryInfo(self, board: Board) -> Any:
            self.asked += 1
            if self.asked == 3:
                board.used_mib = 512
            return super().nvmlDeviceGetMemoryInfo(board)

    board = Board("GPU-1", used_mib=130_000)
    nvml = Releasing(board)
    await_free(nvml, devices(board), 60, proc)
    assert nvml.asked == 3


def test_a_launch_does_not_begin_on_a_gpu_that_is_held():
    nvml = FakeNvml(Board("GPU-1", used_mib=130_000))
    with pytest.raises(MeasurementError, match="held before anything is loaded"):
        GpuWatch(1, {}, nvml, release_s=0)
    assert nvml.sessions == 0
