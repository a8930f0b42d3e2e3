"""What a command line that measures asks for, pytest's or `tokgate ab`'s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT_PAIRS = 12
# A fifth is trimmed at each end: of fewer too little is left to know their variance by.
LEAST_PAIRS = 5


@dataclass(frozen=True)
class OptionNames:
    """How a command's users give what all that measure ask for: what is wrong with it is told by that name."""

    model: str = "--model"
    python: str = "--python"
    reference: str = "--reference"
    sessions: str = "--sessions"


COMMAND_NAMES = OptionNames()
PYTEST_NAMES = OptionNames("--perf-model", "--perf-python", "--perf-reference", "--perf-sessions")
AB_NAMES = OptionNames(python="--candidate")


@dataclass(frozen=True)
class Options:
    """`again`: the command, as words, that measures the same once more; with `-k` one row of it.

    `builder` builds the models, `python` measures them; with `reference`, another interpreter, what is open is
    measured in `pairs` pairs of the two. Without a `baselines_dir` nothing is accepted. `machine`: the id to
    judge as, if not the one found. `trace`: whether each group is traced after it was measured. `load_workers`: how
    many of Locust's drive users, 0: one process does it all. `given`: settings of the engine that are measured in
    place of those of the rows. `names`: how the command line calls those of them that errors tell of.
    """

    command: str
    again: tuple[str, ...]
    profile: str
    selection: str | None
    baselines_dir: Path | None
    sessions_dir: Path
    cache_dir: Path | None
    lock_timeout_s: float
    builder: str
    python: str
    reference: str | None = None
    pairs: int = DEFAULT_PAIRS
    machine: str | None = None
    trace: bool = False
    load_workers: int = 0
    given: Mapping[str, Any] = field(default_factory=dict)
    names: OptionNames = COMMAND_NAMES
