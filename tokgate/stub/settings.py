"""What a stub server is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass

from tokgate.stub.faults import FaultPlan
from tokgate.stub.schedule import Pace


@dataclass(frozen=True)
class Settings:
    """`served_model_name` None: whatever a request names. `max_running` 0: no limit. `split_bytes` 0: unsplit."""

    pace: Pace
    faults: FaultPlan
    served_model_name: str | None = None
    max_running: int = 0
    split_bytes: int = 0
    merge: int = 1
    word: str = " tok"
    default_model: str = "stub"
