"""Interpreters that run a stub server where they are asked to run vLLM's: scripted servers for tests."""

from __future__ import annotations

import sys
from pathlib import Path

_SCRIPT = """#!{python}
import os, signal, subprocess, sys, time
print("fake vLLM starts", flush=True)
{before}
options = dict(word[2:].split("=", 1) for word in sys.argv if word.startswith("--") and "=" in word)
os.execv("{python}", [
    "{python}", "-m", "tokgate", "stub-server", "--port", options["port"],
    "--served-model-name", options["served-model-name"], *{stub!r},
])
"""


def fake_python(folder: Path, *stub: str, before: str = "") -> str:
    """The path of an interpreter that does `before`, and is then a stub server with the options `stub`."""
    path = folder / "fake-python"
    path.write_text(_SCRIPT.format(python=sys.executable, before=before, stub=list(stub)))
    path.chmod(0o755)
    return str(path)
