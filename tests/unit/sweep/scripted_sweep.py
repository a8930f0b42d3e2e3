"""A plugin as tests/unit/plugin/scripted.py, for sweeps: launches whose figures are written down.

TOKGATE_SCRIPT holds beside what that one takes: `slows` ({settings as JSON: factor on every duration}), `block_at`
(the launch of this process, counted from 0, that never ends; a file of the name `blocked` says that it has begun),
`dies_at` ({launch of this process: the error that it ends with}), `unbuilt` ({precision: why no model can be built}),
and `real_launches`: only models are scripted.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import scripted

import tokgate.launch
import tokgate.launcher as launcher
import tokgate.runner as runner
from tokgate.errors import MeasurementError
from tokgate.launch import LaunchRecord, Turns
from tokgate.plan import LaunchPlan

launched = 0


def run_launch(
    plan: LaunchPlan, python: str, on_round: Callable[[str], None], log: Path | None = None, turns: Turns | None = None
) -> LaunchRecord:
    global launched
    if scripted.SCRIPT.get("block_at") == launched:
        Path(scripted.SCRIPT["blocked"]).touch()
        signal.pause()
    launched += 1
    if (error := scripted.SCRIPT.get("dies_at", {}).get(str(launched - 1))) is not None:
        raise MeasurementError(error)
    scripted.SCRIPT["slow"] = scripted.SCRIPT.get("slows", {}).get(json.dumps(plan.settings), 1.0)
    return scripted.run_launch(plan, python, on_round, log)


def ensure(source: Any, engine: str, precision: str, *args: Any, **kwargs: Any) -> Any:
    if (why := scripted.SCRIPT.get("unbuilt", {}).get(precision)) is not None:
        raise MeasurementError(why)
    return scripted.ensure()


runner.ensure = ensure
launcher.run_launch = tokgate.launch.run_launch if scripted.SCRIPT.get("real_launches") else run_launch
