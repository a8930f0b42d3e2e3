"""What is seen while a group is measured: on a terminal what runs and the time left, in a log next to nothing."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tokgate.report.progress import BarProgress, LineProgress

pytestmark = pytest.mark.unit

GROUP = "qwen2.5-0.5b-instruct-dummy.onnx.fp32.nospin"
LAUNCHES, ROUNDS = 6, 30


def measure(progress: BarProgress | LineProgress) -> None:
    """A nightly group."""
    progress.start(f"{GROUP} launch", LAUNCHES, ROUNDS)
    for launch in range(LAUNCHES):
        for _ in range(ROUNDS):
            progress.advance(f"launch {launch + 1}/{LAUNCHES} b200.p1000.o1000")
        progress.launched()
    progress.finish()


def test_a_log_gets_one_line_a_group() -> None:
    stream = io.StringIO()
    measure(LineProgress(None, stream=stream))
    assert stream.getvalue() == f"\ntokgate: {GROUP} launch: 6 x 30 rounds ......"


def test_a_quiet_log_gets_none() -> None:
    """But what must be known, as who holds the device."""
    stream = io.StringIO()
    progress = LineProgress(None, quiet=True, stream=stream)
    measure(progress)
    assert stream.getvalue() == ""
    progress.say("waiting for another run")
    assert stream.getvalue() == "\ntokgate: waiting for another run ", "pytest's mark of an item comes behind it"


class Terminal:
    """A bar on a terminal of 80 columns, drawn when asked for."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.stream = io.StringIO()
        console = Console(file=self.stream, force_terminal=True, width=80, no_color=True, highlight=False)
        self.bar = BarProgress(None, console, clock=lambda: self.now_s)

    @property
    def drawn(self) -> str:
        """The last line, as of now."""
        assert self.bar._progress is not None
        text = io.StringIO()
        Console(file=text, width=80).print(self.bar._progress.get_renderable())
        return text.getvalue().rstrip("\n")


def test_a_terminal_shows_what_runs_and_for_how_long_in_one_line() -> None:
    terminal = Terminal()
    terminal.bar.start(f"{GROUP} launch", LAUNCHES, ROUNDS)
    try:
        assert f"tokgate: {GROUP} launch: 6 x 30 rounds" in terminal.stream.getvalue()
        assert terminal.drawn.rstrip().endswith("-:-- left starting")
        terminal.now_s = 60.0
        terminal.bar.launched()
        terminal.now_s = 80.0
        terminal.bar.advance("launch 2/6 b200.p1000.o1000")
        line = terminal.drawn
    finally:
        terminal.bar.finish()
    assert line.rstrip().endswith("4:40 left launch 2/6 b200.p1000.o1000")
    assert len(line.rstrip()) <= 80
    assert "\n" not in line


def test_the_bar_leaves_only_the_title() -> None:
    terminal = Terminal()
    measure(terminal.bar)
    terminal.bar.say("done")
    assert terminal.stream.getvalue().count("tokgate:") == 2
    assert terminal.bar._progress is None
