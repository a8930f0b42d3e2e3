"""An NVML whose answers are written down: boards, their processes, and what they are doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(
            {
                0: "Success",
                3: "Not Supported",
                4: "Insufficient Permissions",
                6: "Not Found",
                9: "Driver Not Loaded",
                15: "GPU is lost",
            }[value]
        )
        self.value = value


NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND, NO_DRIVER, LOST = 3, 4, 6, 9, 15
_SAMPLED = (
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetClockInfo",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
    "nvmlDeviceGetComputeRunningProcesses",
)


@dataclass
class Board:
    """What NVML says of one GPU or slice. `errors`: query -> the error it is answered with.

    `sm_pct`: what processes computed in the last sample, which ended at `sm_at_us`; None: whenever it is asked for.
    """

    uuid: str
    name: str = "NVIDIA H200"
    memory_mib: int = 143771
    limit_mw: int = 700_000
    capability: tuple[int, int] = (9, 0)
    mig: bool = False
    slices: Sequence[Board | None] = ()
    errors: dict[str, int] = field(default_factory=dict)
    vbios: str = "96.00.68.00.01"
    used_mib: int = 512
    busy_pct: int = 90
    power_mw: int = 400_000
    energy_mj: int = 1_000_000
    sm_clock_mhz: int = 1980
    temperature_c: int = 61
    reasons: int = 0
    processes: dict[int, int | None] = field(default_factory=dict)
    sm_pct: dict[int, int] | None = None
    sm_at_us: int | None = None
    persistence: int | None = None


class FakeNvml:
    """A test instrument: answers the queries of nvidia-ml-py from boards that are written down."""

    NVMLError = NVMLError
    NVML_ERROR_NOT_SUPPORTED = NOT_SUPPORTED
    NVML_ERROR_NOT_FOUND = NOT_FOUND
    NVML_SUCCESS = 0

    def __init__(self, *boards: Board, driver: bool = True, old: bool = False) -> None:
        self.boards, self.driver, self.old, self.sessions, self.samples = boards, driver, old, 0, 0

    def nvmlInit(self) -> None:
        if not self.driver:
            raise NVMLError(NO_DRIVER)
        self.sessions += 1

    def nvmlShutdown(self) -> None:
        self.sessions -= 1

    def nvmlSystemGetDriverVersion(self) -> Any:
        return b"535.183.01" if self.old else "580.95.05"

    def nvmlSystemGetCudaDriverVersion(self) -> int:
        return 12020 if self.old else 13000

    def nvmlDeviceGetCount(self) -> int:
        return len(self.boards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Board:
        return self._of(self.boards[index], "nvmlDeviceGetHandleByIndex", self.boards[index])

    def nvmlDeviceGetUUID(self, board: Board) -> Any:
        return board.uuid.encode() if self.old else board.uuid

    def nvmlDeviceGetName(self, board: Board) -> Any:
        return board.name.encode() if self.old else board.name

    def nvmlDeviceGetMigMode(self, board: Board) -> list[int]:
        return self._of(board, "nvmlDeviceGetMigMode", [int(board.mig), int(board.mig)])

    def nvmlDeviceGetMaxMigDeviceCount(self, board: Board) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, board: Board, number: int) -> Board:
        found = board.slices[number] if number < len(board.slices) else None
        if found is None:
            raise NVMLError(NOT_FOUND)
        return found

    def nvmlDeviceGetAttributes(self, board: Board) -> Any:
        return SimpleNamespace(gpuInstanceSliceCount=1, memorySizeMB=board.memory_mib)

    def nvmlDeviceGetMemoryInfo(self, board: Board) -> Any:
        return self._of(board, "nvmlDeviceGetMemoryInfo", self._memory(board))

    def nvmlDeviceGetEnforcedPowerLimit(self, board: Board) -> int:
        return self._of(board, "nvmlDeviceGetEnforcedPowerLimit", board.limit_mw)

    def nvmlDeviceGetPowerManagementLimit(self, board: Board) -> int:
        return self._of(board, "nvmlDeviceGetPowerManagementLimit", board.limit_mw)

    def nvmlDeviceGetCudaComputeCapability(self, board: Board) -> tuple[int, int]:
        return board.capability

    def nvmlDeviceGetVbiosVersion(self, board: Board) -> str:
        return self._of(board, "nvmlDeviceGetVbiosVersion", board.vbios)

    def nvmlDeviceGetEccMode(self, board: Board) -> list[int]:
        return [1, 1]

    def nvmlDeviceGetMaxClockInfo(self, board: Board, clock: int) -> int:
        return {1: 1980, 2: 3201}[clock]

    def nvmlDeviceGetApplicationsClock(self, board: Board, clock: int) -> int:
        raise NVMLError(NOT_SUPPORTED)

    def nvmlDeviceGetPersistenceMode(self, board: Board) -> int:
        # An older library may lack any query.
        if board.persistence is None:
            raise AttributeError("nvmlDeviceGetPersistenceMode")
        return board.persistence

    def nvmlDeviceGetUtilizationRates(self, board: Board) -> Any:
        return self._of(board, "nvmlDeviceGetUtilizationRates", SimpleNamespace(gpu=board.busy_pct, memory=50))

    def nvmlDeviceGetPowerUsage(self, board: Board) -> int:
        return self._of(board, "nvmlDeviceGetPowerUsage", board.power_mw)

    def nvmlDeviceGetTotalEnergyConsumption(self, board: Board) -> int:
        return self._of(board, "nvmlDeviceGetTotalEnergyConsumption", board.energy_mj)

    def nvmlDeviceGetClockInfo(self, board: Board, clock: int) -> int:
        assert clock == 1, "the SM clock"
        return self._of(board, "nvmlDeviceGetClockInfo", board.sm_clock_mhz)

    def nvmlDeviceGetTemperature(self, board: Board, sensor: int) -> int:
        assert sensor == 0, "the GPU's own"
        return self._of(board, "nvmlDeviceGetTemperature", board.temperature_c)

    def nvmlDeviceGetCurrentClocksEventReasons(self, board: Board) -> int:
        if self.old:
            raise AttributeError("nvmlDeviceGetCurrentClocksEventReasons")
        return self.nvmlDeviceGetCurrentClocksThrottleReasons(board)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, board: Board) -> int:
        self.samples += 1
        return self._of(board, "nvmlDeviceGetCurrentClocksThrottleReasons", board.reasons)

    def nvmlDeviceGetComputeRunningProcesses(self, board: Board) -> list[Any]:
        listed = [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in board.processes.items()]
        return self._of(board, "nvmlDeviceGetComputeRunningProcesses", listed)

    def nvmlDeviceGetProcessUtilization(self, board: Board, since_us: int) -> list[Any]:
        """As the driver does: an error where nobody did anything since then, and entries that were never filled."""
        if board.sm_pct is None:
            raise NVMLError(NOT_SUPPORTED)
        at_us = since_us + 1 if board.sm_at_us is None else board.sm_at_us
        if not board.sm_pct or at_us <= since_us:
            raise NVMLError(NOT_FOUND)
        filled = [SimpleNamespace(pid=pid, timeStamp=at_us, smUtil=pct) for pid, pct in board.sm_pct.items()]
        return [*filled, SimpleNamespace(pid=0, timeStamp=0, smUtil=77)]

    def lose(self) -> None:
        """The GPU falls off the bus."""
        for board in self.boards:
            board.errors |= dict.fromkeys(_SAMPLED, LOST)

    @staticmethod
    def _memory(board: Board) -> Any:
        return SimpleNamespace(total=board.memory_mib << 20, used=board.used_mib << 20)

    @staticmethod
    def _of(board: Board, query: str, answer: Any) -> Any:
        if query in board.errors:
            raise NVMLError(board.errors[query])
        return answer
