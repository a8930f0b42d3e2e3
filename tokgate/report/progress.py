"""What a person sees while a group is measured: a bar with the time left on a terminal, short lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from tokgate.report.timeleft import Estimate, left_text

Terminal = Callable[[], AbstractContextManager[None]]

# The bar must not take CPU from what is measured.
_REFRESH_HZ = 1
_BAR_WIDTH = 20


def open_progress(terminal: Terminal | None, verbosity: int, color: str = "auto") -> BarProgress | LineProgress:
    """A bar where standard error is a terminal, else lines; with -q, only what must be known.

    `color`: as pytest's --color; "auto" leaves it to the terminal and NO_COLOR.
    """
    stream = sys.__stderr__ or sys.stderr
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        return BarProgress(terminal, Console(stderr=True, highlight=False, no_color=color == "no" or None))
    return LineProgress(terminal, quiet=verbosity < 0)


class LineProgress:
    """For logs: a line when a group's launches start, and a dot for each that has ended."""

    def __init__(self, terminal: Terminal | None, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._terminal = terminal or nullcontext
        self._quiet = quiet
        self._stream = stream

    def say(self, text: str) -> None:
        # The space: with -q pytest's marks of the items come right behind it.
        self._write(f"\ntokgate: {text} ")

    def start(self, title: str, launches: int, rounds: int) -> None:
        if not self._quiet:
            self.say(_title(title, launches, rounds))

    def advance(self, detail: str) -> None:
        pass

    def launched(self) -> None:
        if not self._quiet:
            self._write(".")

    def finish(self) -> None:
        pass

    def _write(self, text: str) -> None:
        with self._terminal():
            print(text, end="", file=self._stream or sys.stderr, flush=True)


class BarProgress:
    """For terminals: a line when a group's launches start, and below it a bar: the time left, and what runs."""

    def __init__(
        self, terminal: Terminal | None, console: Console, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._terminal = terminal or nullcontext
        self._console = console
        self._clock = clock
        self._open = ExitStack()
        self._progress: Progress | None = None
        self._estimate = Estimate(1, 1, 0.0)
        self._task = TaskID(0)

    def say(self, text: str) -> None:
        with self._terminal():
            self._console.print(f"\ntokgate: {text}", end=" ", markup=False)

    def start(self, title: str, launches: int, rounds: int) -> None:
        with self._terminal():
            self._console.print(f"\ntokgate: {_title(title, launches, rounds)}", markup=False)
        self._estimate = Estimate(launches, rounds, self._clock())
        self._open.enter_context(self._terminal())
        self._progress = self._open.enter_context(
            Progress(
                BarColumn(bar_width=_BAR_WIDTH),
                _TimeLeft(self._estimate, self._clock),
                TextColumn("{task.description}", markup=False),
                console=self._console,
                refresh_per_second=_REFRESH_HZ,
                transient=True,
            )
        )
        self._task = self._progress.add_task("starting", total=1.0)

    def advance(self, detail: str) -> None:
        self._estimate.round_ended(self._clock())
        self._show(detail)

    def launched(self) -> None:
        self._estimate.launch_ended(self._clock())
        self._show("starting")

    def finish(self) -> None:
        self._open.close()
        self._progress = None

    def _show(self, detail: str) -> None:
        if self._progress is not None:
            self._progress.update(self._task, completed=self._estimate.share, description=detail)


class _TimeLeft(ProgressColumn):
    def __init__(self, estimate: Estimate, clock: Callable[[], float]) -> None:
        super().__init__()
        self._estimate = estimate
        self._clock = clock

    def render(self, task: Task) -> Text:
        return Text(left_text(self._estimate.left_s(self._clock())))


def _title(title: str, launches: int, rounds: int) -> str:
    return f"{title}: {launches} x {rounds} rounds"
