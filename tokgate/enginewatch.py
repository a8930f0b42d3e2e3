"""Ends this process when a process of its engine has died. Standard library alone.

vLLM runs its engine in processes of its own. One that is killed, by the kernel for memory say, is told by vLLM at once
if it was at work; between two requests `generate` may wait for it for ever.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from tokgate.child import Emit

# vLLM's own word on what happened is better than ours, and takes a moment.
_GRACE_S = 10.0


@contextmanager
def engine_watch(emit: Emit, grace_s: float = _GRACE_S, end: Callable[[], None] | None = None) -> Iterator[None]:
    """Watches this process's children, those that multiprocessing started, while the `with` lasts.

    When one ends, and this process lives on for `grace_s`, it reports an error event and ends (`end` stands in for
    that). Costs nothing meanwhile: the thread sleeps in the kernel.
    """
    over = threading.Event()
    children = multiprocessing.active_children()
    if children:
        arguments = (children, over, emit, grace_s, end or _end)
        threading.Thread(target=_await_death, args=arguments, name="engine-watch", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _await_death(
    children: Sequence[BaseProcess], over: threading.Event, emit: Emit, grace_s: float, end: Callable[[], None]
) -> None:
    ended = wait([child.sentinel for child in children])
    if over.wait(grace_s):
        return
    dead = next(child for child in children if child.sentinel in ended)
    emit({
        "event": "error",
        "message": f"a process of the engine ended, {dead.name} pid {dead.pid}, and the engine waited on: often the "
        "kernel killed it, out of memory (dmesg says so)",
    })  # fmt: skip
    end()


def _end() -> None:
    """With the other processes of the engine, which would live on and hold the GPU's memory."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(70)
