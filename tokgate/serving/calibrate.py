"""Holds the load client against a stub server that knows the truth: how wrong it is here, and how much it can follow.

Stub server and client have a core each, where there are two; on one they take it from each other, and what is seen is
what a load would suffer from there.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tokgate.machine.cpus import sibling_cpus, usable_cpus
from tokgate.serving.arrivals import arrivals
from tokgate.serving.client import run_load
from tokgate.serving.load import Load, LoadResult
from tokgate.serving.request import Request, Target
from tokgate.serving.web import opened
from tokgate.stub.process import running

PROMPT_LEN = 512
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Course:
    """A load on the stub server's schedule, and the most that the client's figures may be off by.

    A closed loop of `concurrency`; with `requests_per_s` an open one without a cap, whose requests come as a Poisson
    process does, and of which about `concurrency` are open at once.
    TTFT and TPOT vary from request to request by 30% of their means, as an exponential distribution does: requests
    that keep in step would show a client's worst side at one moment and its best at all others.
    """

    concurrency: int
    requests: int
    output_len: int
    ttft_s: float
    itl_s: float
    max_ttft_error_s: float
    max_tpot_error: float = 0.01
    max_p99_tpot_error: float = 0.02
    requests_per_s: float | None = None
    max_sent_late_s: float = math.inf

    @property
    def tokens(self) -> int:
        return self.requests * self.output_len

    @property
    def options(self) -> list[str]:
        """Of the stub server."""
        pace = ["--ttft-ms", f"{1e3 * self.ttft_s:g}", "--itl-ms", f"{1e3 * self.itl_s:g}"]
        return [*pace, "--ttft-jitter", "exponential:0.3", "--itl-jitter", "exponential:0.3"]


# Where more are sent at once the first answer is later: the stub server needs 0.1 ms for each before it can write.
COURSES = (
    Course(50, 150, 200, ttft_s=0.1, itl_s=0.01, max_ttft_error_s=0.003),
    Course(200, 400, 200, ttft_s=0.2, itl_s=0.02, max_ttft_error_s=0.006),
    Course(1000, 2000, 100, ttft_s=0.5, itl_s=0.04, max_ttft_error_s=0.025),
)
# 25 answers of 1 s at once, from a server as quick as one of a small model on a GPU.
OPEN_LOOP = Course(
    25, 300, 512, ttft_s=0.02, itl_s=0.002, max_ttft_error_s=0.001, requests_per_s=25.0, max_sent_late_s=0.001
)
RATES = (10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 120_000)
MAX_TPOT_ERROR_AT_A_RATE = 0.02


def at_rate(tokens_per_s: int) -> Course:
    """400 requests at once that stream so many tokens a second, for about 3 seconds; TTFT is not what it is for."""
    itl_s = 400 / tokens_per_s
    return Course(400, 400, round(3 / itl_s), 0.3, itl_s, 1.0, MAX_TPOT_ERROR_AT_A_RATE, 1.0)


@dataclass(frozen=True)
class Errors:
    """By how much figures of a client are off the truth: TTFT in seconds, TPOT as shares."""

    ttft_s: float
    tpot: float
    p99_tpot: float

    def faults(self, course: Course) -> list[str]:
        """What is beyond the course's limits."""
        found = []
        if abs(self.ttft_s) > course.max_ttft_error_s:
            found.append(f"TTFT is off by more than {1e3 * course.max_ttft_error_s:g} ms")
        if abs(self.tpot) > course.max_tpot_error:
            found.append(f"TPOT is off by more than {100 * course.max_tpot_error:g}%")
        if abs(self.p99_tpot) > course.max_p99_tpot_error:
            found.append(f"P99 TPOT is off by more than {100 * course.max_p99_tpot_error:g}%")
        return found


@dataclass(frozen=True)
class Calibration:
    """One course, run. `truth`: the stub server's summary of it."""

    course: Course
    result: LoadResult
    truth: dict[str, Any]

    @property
    def errors(self) -> Errors:
        tpot_s = [tpot_s for record in self.result.successes if (tpot_s := record.tpot_s) is not None]
        ttft_s = [record.ttft_s for record in self.result.successes]
        return errors(statistics.fmean(ttft_s), statistics.fmean(tpot_s), float(np.percentile(tpot_s, 99)), self.truth)

    @property
    def cpu_s_per_token(self) -> float:
        return self.result.health.cpu_s / self.course.tokens

    @property
    def sent_late_s(self) -> float:
        """How long after it was due a request was sent, in seconds: the 99th percentile. Of an open loop."""
        return float(np.percentile([record.queue_s for record in self.result.records], 99))

    @property
    def tokens_per_s(self) -> float:
        """While all were being answered at once, by the server's word."""
        return float(self.course.concurrency / self.truth["tpot_s"]["mean"])

    def faults(self) -> list[str]:
        """Why the client is not to be believed at this load."""
        failed = [(record.failure.value, record.detail) for record in self.result.records if record.failure]
        if failed:
            return [f"{len(failed)} of {len(self.result.records)} requests failed: {': '.join(failed[0])}"]
        found = self.errors.faults(self.course)
        if self.sent_late_s > self.course.max_sent_late_s:
            found.append(
                f"1 request in 100 is sent later than {1e3 * self.course.max_sent_late_s:g} ms after it was due"
            )
        own = self.result.client_fault()
        return [*found, *([own] if own else [])]


def errors(ttft_s: float, tpot_s: float, p99_tpot_s: float, truth: dict[str, Any]) -> Errors:
    """Of any client's means and 99th percentile, against the stub server's."""
    return Errors(
        ttft_s - truth["ttft_s"]["mean"],
        tpot_s / truth["tpot_s"]["mean"] - 1,
        p99_tpot_s / truth["tpot_s"]["p99"] - 1,
    )


def calibrate(course: Course, cores: Cores) -> Calibration:
    """Raises MeasurementError where the stub server does not start."""
    with running(*course.options, *cores.stub_options) as stub, cores.client():
        return measure(course, stub.url)


def measure(course: Course, url: str) -> Calibration:
    """On a stub server that is there, and keeps the course's pace."""
    forget(url)
    result = run_load(course_load(course, url))
    return Calibration(course, result, truth(url))


def course_load(course: Course, url: str) -> Load:
    body = {
        "model": "stub",
        "prompt": "tok " * PROMPT_LEN,
        "max_tokens": course.output_len,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    target = Target("http", parts.hostname, parts.port, "/v1/completions")
    request = Request(json.dumps(body).encode(), PROMPT_LEN, course.output_len)
    requests = [request] * course.requests
    if course.requests_per_s is not None:
        return Load(target, requests, starts_s=arrivals(course.requests, course.requests_per_s), timeout_s=_PATIENCE_S)
    return Load(target, requests, course.concurrency, timeout_s=_PATIENCE_S)


def forget(url: str) -> None:
    """Lets the stub server begin its truth anew."""
    with opened(f"{url}/reset", _PATIENCE_S, method="POST"):
        pass


def truth(url: str) -> dict[str, Any]:
    """The stub server's summary."""
    with opened(f"{url}/truth", _PATIENCE_S) as answer:
        told: dict[str, Any] = json.load(answer)["summary"]
    return told


@dataclass(frozen=True)
class Cores:
    """The CPU of the stub server and that of the client; None: both have what there is."""

    stub: int | None
    own: int | None

    @property
    def stub_options(self) -> list[str]:
        return [] if self.stub is None else ["--cpu", str(self.stub)]

    @contextlib.contextmanager
    def client(self) -> Iterator[None]:
        """Keeps this thread, and what it starts, on its CPU."""
        if self.own is None:
            yield
            return
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self.own})
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


def two_cores(cpus: Sequence[int] | None = None) -> Cores:
    """Two of the CPUs that this process may use, of different cores where there are such."""
    usable = sorted(usable_cpus() if cpus is None else cpus)
    if len(usable) < 2:
        return Cores(None, None)
    apart = [cpu for cpu in usable[1:] if cpu not in sibling_cpus(usable[0])]
    return Cores(stub=usable[0], own=(apart or usable[1:])[0])
