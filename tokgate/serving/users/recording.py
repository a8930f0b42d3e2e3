"""What Locust's processes keep of a test: each request, and their own use of the CPU. All ends up in one file.

In Locust's distributed form each worker sends its part to the master when its last user has stopped, so it comes from
other machines too.
"""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from tokgate.serving.users.hearing import Heard

# As often as Locust looks at its own CPU.
_WINDOW_S = 5.0
_LEAST_WINDOW_S = 1.0
_MESSAGE = "tokgate_part"
# How long the master waits for workers whose users have all stopped.
_PARTS_S = 30.0


class Recorder:
    """Of one Locust process. Where there is a `path`, the master, or the only process, writes everything there.

    `run_s`: ends the test after so many seconds; 0: whoever started it ends it. Locust's own --run-time does not wait
    for what workers have in hand, and is early by as long as the imports took.
    """

    def __init__(self, environment: Environment, path: Path | None, run_s: float) -> None:
        self._environment = environment
        self._runner = environment.runner
        self._path = path
        self._run_s = run_s
        self._requests: list[dict[str, Any]] = []
        self._processes: list[dict[str, Any]] = []
        self._parts = 0
        self._part_came = Event()
        self._window: Any = None
        self._end_at = math.inf
        events = environment.events
        if isinstance(self._runner, MasterRunner):
            self._runner.register_message(_MESSAGE, self._take)
        else:
            events.test_start.add_listener(self._watch)
            events.test_stopping.add_listener(self._note_end)
            events.test_stop.add_listener(self._hand_over)
        if not isinstance(self._runner, WorkerRunner):
            events.test_start.add_listener(self._set_end)
            events.quitting.add_listener(self._write)

    def add(self, heard: Heard, sent_at: float) -> None:
        """`sent_at`: seconds since the epoch."""
        if self._path is None:
            return
        told = asdict(heard)
        fault = told.pop("fault")
        del told["connected_s"]
        failed = {"failure": fault["failure"].value, "detail": fault["detail"]} if fault else {}
        self._requests.append({"sent_at": sent_at, **told, **failed})

    def add_unfinished(self, sent_at: float) -> None:
        """Of a user who was stopped while waiting for an answer."""
        if self._path is None:
            return
        waited_s = time.time() - sent_at
        # Those who wait when the test ends are given the drain; who thinks is killed, and may have asked meanwhile.
        after_end = sent_at >= self._end_at and waited_s < (self._environment.stop_timeout or 0)
        self._requests.append({"sent_at": sent_at, "e2el_s": waited_s, "unfinished": True, "after_end": after_end})

    def _set_end(self, **named: Any) -> None:
        if self._run_s:
            gevent.spawn(self._end, time.monotonic() + self._run_s)

    def _end(self, due_s: float) -> None:
        while (left_s := due_s - time.monotonic()) > 0:
            gevent.sleep(left_s)
        self._runner.stop()
        if isinstance(self._runner, MasterRunner):
            self._await_parts()
        self._runner.quit()

    def _note_end(self, **named: Any) -> None:
        """Locust is about to stop its users."""
        self._end_at = time.time()

    def _watch(self, **named: Any) -> None:
        self._end_at = math.inf
        self._cpu_s, self._wall_s = time.process_time(), time.perf_counter()
        self._shares: list[float] = []
        self._window = gevent.spawn(self._measure_windows)

    def _measure_windows(self) -> None:
        while True:
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            gevent.sleep(_WINDOW_S)
            self._shares.append((time.process_time() - cpu_s) / (time.perf_counter() - wall_s))

    def _hand_over(self, **named: Any) -> None:
        """The last user has stopped."""
        if self._window is None:
            return
        self._window.kill()
        self._window = None
        wall_s = time.perf_counter() - self._wall_s
        cpu_s = time.process_time() - self._cpu_s
        # A test shorter than a window has none.
        mean = [cpu_s / wall_s] if wall_s > _LEAST_WINDOW_S else []
        self._processes.append(
            {
                "name": f"{socket.gethostname()} {os.getpid()}",
                "cpu_s": cpu_s,
                "wall_s": wall_s,
                "cpu_share": max([*self._shares, *mean], default=0.0),
            }
        )
        if isinstance(self._runner, WorkerRunner):
            self._runner.send_message(_MESSAGE, {"requests": self._requests, "processes": self._processes})
            self._requests, self._processes = [], []

    def _take(self, environment: Environment, msg: Any, **named: Any) -> None:
        self._requests += msg.data["requests"]
        self._processes += msg.data["processes"]
        self._parts += 1
        self._part_came.set()

    def _await_parts(self) -> None:
        deadline_s = time.monotonic() + _PARTS_S
        while self._parts < len(self._runner.clients):
            self._part_came.clear()
            if not self._part_came.wait(deadline_s - time.monotonic()):
                missing = len(self._runner.clients) - self._parts
                logging.getLogger(__name__).error("%s of Locust's workers did not tell what they saw", missing)
                return

    def _write(self, **named: Any) -> None:
        if self._path is None:
            return
        found = {"requests": self._requests, "processes": self._processes}
        partial = self._path.with_name(f"{self._path.name}.partial")
        partial.write_text(json.dumps(found), "utf-8")
        partial.replace(self._path)
