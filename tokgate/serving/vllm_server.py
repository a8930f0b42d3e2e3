"""How `vllm serve` is told a scenario's settings. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokgate.plan import LaunchPlan
from tokgate.serving.server import HOST, ServerCommand

# A model is a folder on this disk; nothing is asked for, and nothing reported, over the network.
_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
# Settings that are not the server's: the one goes with each request, the other into its environment.
NOT_FLAGS = ("sampling", "environment")


def server_command(plan: LaunchPlan, port: int, log: Path, cpus: frozenset[int] | None) -> ServerCommand:
    """The command that serves the plan's model. With `cpus` its compute threads are bound to them."""
    assert plan.server is not None
    argv = [
        plan.server.python,
        "-m",
        "tokgate.serving.vllm_cli",
        "serve",
        plan.model_dir,
        f"--host={HOST}",
        f"--port={port}",
        f"--served-model-name={plan.server.model}",
        *flags({name: value for name, value in plan.settings.items() if name not in NOT_FLAGS}),
    ]
    # By itself vLLM's build for CPUs looks at the machine, not at what it may use of it.
    bound = {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(cpus)))} if cpus else {}
    environment = {**_ENVIRONMENT, **bound, **plan.settings.get("environment", {})}
    return ServerCommand(argv, port, log, environment, cpus)


def flags(settings: Mapping[str, Any]) -> list[str]:
    """Engine arguments as `vllm serve` takes them: {"enforce_eager": True} -> ["--enforce-eager"].

    A switch that is off is --no-NAME; tables are JSON; None is vLLM's own choice, and left out.
    """
    return [_flag(name.replace("_", "-"), value) for name, value in settings.items() if value is not None]


def _flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={json.dumps(value) if isinstance(value, (dict, list)) else value}"
