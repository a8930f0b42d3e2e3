"""A plugin as tests/unit/plugin/scripted.py, for sweeps: launches whose figures are written down.

TOKGATE_SCRIPT holds beside what that one takes: `slows` ({settings as JSON: factor on every duration}), `block_at`
(the launch of this process, counted from 0, that never ends; a file of the name `blocked` says that it has begun), and
`real_launches`: only models are scripted.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import scripted

import tokgate.launch
import tokgate.launcher as launcher
from tokgate.launch import LaunchRecord
from tokgate.plan import LaunchPlan

launched = 0


def run_launch(plan: LaunchPlan, python: str, on_round: Callable[[str], None], log: Path | None = None) -> LaunchRecord:
    global launched
    if scripted.SCRIPT.get("block_at") == launched:
        Path(scripted.SCRIPT["blocked"]).touch()
        signal.pause()
    launched += 1
    scripted.SCRIPT["slow"] = scripted.SCRIPT.get("slows", {}).get(json.dumps(plan.settings), 1.0)
    return scripted.run_launch(plan, python, on_round, log)


launcher.run_launch = tokgate.launch.run_launch if scripted.SCRIPT.get("real_launches") else run_launch
