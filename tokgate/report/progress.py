"""What a person sees while a group is measured: a bar with the time left on a terminal, short lines elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

Terminal = Callable[[], AbstractContextManager[None]]

# The bar must not take CPU from what is measured.
_REFRESH_HZ = 1


def open_progress(terminal: Terminal | None, verbosity: int) -> BarProgress | LineProgress:
    """A bar where standard error is a terminal, else lines; with -q, only what must be known."""
    stream = sys.__stderr__ or sys.stderr
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        return BarProgress(terminal)
    return LineProgress(terminal, quiet=verbosity < 0)


class LineProgress:
    """One line when a group's launches start. For logs."""

    def __init__(self, terminal: Terminal | None, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._terminal = terminal or nullcontext
        self._quiet = quiet
        self._stream = stream

    def say(self, text: str) -> None:
        with self._terminal():
            print(f"\ntokgate: {text}", end="", file=self._stream or sys.stderr, flush=True)

    def start(self, title: str, total: int) -> None:
        if not self._quiet:
            self.say(f"{title}: {total} rounds ")

    def advance(self, detail: str) -> None:
        if not self._quiet:
            with self._terminal():
                print(".", end="", file=self._stream or sys.stderr, flush=True)

    def finish(self) -> None:
        pass


class BarProgress:
    """A progress bar for each group: what runs, how many rounds of how many, the time left."""

    def __init__(self, terminal: Terminal | None) -> None:
        self._terminal = terminal or nullcontext
        self._console = Console(stderr=True, highlight=False)
        self._open = ExitStack()
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def say(self, text: str) -> None:
        with self._terminal():
            self._console.print(f"\ntokgate: {text}", end="", markup=False)

    def start(self, title: str, total: int) -> None:
        self._open.enter_context(self._terminal())
        self._progress = self._open.enter_context(
            Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[detail]}"),
                console=Console(stderr=True, highlight=False),
                refresh_per_second=_REFRESH_HZ,
                transient=True,
            )
        )
        self._task = self._progress.add_task(title, total=total, detail="")

    def advance(self, detail: str) -> None:
        if self._progress is not None:
            self._progress.update(self._task, advance=1, detail=detail)

    def finish(self) -> None:
        self._open.close()
        self._progress = None
