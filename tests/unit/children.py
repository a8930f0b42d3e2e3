"""Children of tests: scripts that report events."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

HEAD = "from tokgate.child import child_events\nimport os, sys, time\nemit = child_events()\n"


def script(tmp_path: Path, body: str, name: str = "child.py") -> list[str]:
    path = tmp_path / name
    path.write_text(HEAD + textwrap.dedent(body))
    return [sys.executable, str(path)]
