"""A dead process of an engine ends its worker, once the engine had time to say so itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from tokgate.child import ChildError, run_child
from tokgate.enginewatch import engine_watch

pytestmark = pytest.mark.unit

WAIT_S = 30.0


@pytest.fixture
def engine() -> Iterator[BaseProcess]:
    """A child that does nothing for long, as an engine between two requests."""
    child = multiprocessing.get_context("spawn").Process(target=signal.pause, name="EngineCore")
    child.start()
    yield child
    child.kill()
    child.join(WAIT_S)


class Watched:
    """What a watch reported, and whether it ended the process."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.ended = threading.Event()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "engine-watch"]


def test_an_engine_that_dies_is_named_and_ends_the_worker(engine: BaseProcess) -> None:
    watched = Watched()
    with engine_watch(watched.events.append, 0.01, watched.ended.set):
        engine.kill()
        assert watched.ended.wait(WAIT_S)
    (event,) = watched.events
    assert event["event"] == "error"
    assert f"EngineCore pid {engine.pid}" in event["message"]


def test_an_engine_that_ends_after_the_work_is_no_matter(engine: BaseProcess) -> None:
    watched = Watched()
    with engine_watch(watched.events.append, WAIT_S, watched.ended.set):
        mine = threads()
    engine.kill()
    for thread in mine:
        thread.join(WAIT_S)
        assert not thread.is_alive()
    assert watched.events == []
    assert not watched.ended.is_set()


def test_the_engines_own_word_comes_first(engine: BaseProcess) -> None:
    """It raises within the grace: nothing is added to that."""
    watched = Watched()
    mine: list[threading.Thread] = []

    def work() -> None:
        with engine_watch(watched.events.append, WAIT_S, watched.ended.set):
            mine.extend(threads())
            engine.kill()
            raise RuntimeError("EngineDeadError")

    with pytest.raises(RuntimeError, match="EngineDeadError"):
        work()
    assert mine
    for thread in mine:
        thread.join(WAIT_S)
    assert watched.events == []


def test_an_engine_without_processes_is_not_watched() -> None:
    with engine_watch(lambda event: None):
        assert threads() == []


def test_the_parent_hears_it_and_nothing_is_left(tmp_path: Path) -> None:
    """For real: a worker that would wait for ever for an engine that was killed."""
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import multiprocessing, os, signal, threading\n"
        "from tokgate.child import child_events\n"
        "from tokgate.enginewatch import engine_watch\n"
        "if __name__ == '__main__':\n"
        "    emit = child_events()\n"
        "    engine = multiprocessing.get_context('fork').Process(target=signal.pause, name='EngineCore')\n"
        "    engine.start()\n"
        "    with engine_watch(emit, 0.01):\n"
        "        emit({'event': 'loaded', 'pid': engine.pid})\n"
        "        threading.Event().wait()\n"
    )
    heard: list[dict[str, Any]] = []

    def kill(event: dict[str, Any]) -> None:
        heard.append(event)
        if event["event"] == "loaded":
            os.kill(event["pid"], signal.SIGKILL)

    with pytest.raises(ChildError, match="a process of the engine ended, EngineCore pid"):
        run_child([sys.executable, str(worker)], kill, silence_s=WAIT_S)
