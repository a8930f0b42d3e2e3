"""From what Locust's processes kept of a test to its figures, and to why they cannot be believed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from tokgate.serving.advice import advice

# Locust is one thread a process; beyond this its users wait for each other, and not for the server.
MOST_CPU_SHARE = 0.8
_MOST_NAMED = 3
_PERCENTILES = (90, 95, 99)


class UserRequest(msgspec.Struct, frozen=True):
    """One request of a user. `sent_at`: seconds since the epoch. `unfinished`: its user was stopped before the answer,
    after `e2el_s`. `after_end`: by a user who was thinking when Locust began to stop all, and was not let wait."""

    sent_at: float
    e2el_s: float = 0.0
    ttft_s: float | None = None
    tpot_s: float | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    failure: str | None = None
    detail: str = ""
    unfinished: bool = False
    after_end: bool = False


class LocustProcess(msgspec.Struct, frozen=True):
    """`cpu_share`: of one core, in the busiest five seconds."""

    name: str
    cpu_s: float
    wall_s: float
    cpu_share: float


class LoadTest(msgspec.Struct, frozen=True):
    """What `--record` wrote: every request, in the order of their answers, and the processes that made them."""

    requests: list[UserRequest]
    processes: list[LocustProcess]


@dataclass(frozen=True)
class Tally:
    """A test's outcome. `duration_s`: from the first request to the last answer. `unfinished` ones have no time.

    `cut_short`: those of them that had waited as long as the quickest answer took. A user whom Locust stops while he
    thinks may just have begun to ask, which says nothing of the server: to stop a thousand takes Locust some 50 ms, in
    which a fast server has answered others.
    """

    duration_s: float
    succeeded: int
    failures: dict[str, int]
    details: dict[str, str]
    unfinished: int
    cut_short: int
    prompt_tokens: int
    output_tokens: int
    times_s: dict[str, list[float]]

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def requests(self) -> int:
        return self.succeeded + self.failed

    def figures(self) -> dict[str, float]:
        """Metric -> value of those that there are; latencies are of successes."""
        if not self.requests or not self.duration_s:
            return {}
        values = {
            "request_throughput": self.succeeded / self.duration_s,
            "output_throughput": self.output_tokens / self.duration_s,
            "success_rate": 100 * self.succeeded / self.requests,
        }
        for name, times_s in self.times_s.items():
            if times_s:
                values[name] = float(np.median(times_s))
                values[f"mean_{name}"] = float(np.mean(times_s))
                for percent in _PERCENTILES:
                    values[f"p{percent}_{name}"] = float(np.percentile(times_s, percent))
        # A value that is not above 0 has no logarithm, and a session holds none.
        return {name: value for name, value in values.items() if value > 0}

    def fault(self) -> str | None:
        """Why the work was not what was planned."""
        if not self.requests:
            return f"no request ended within the test, {self.unfinished} were on their way: let it run longer"
        faults = [fault for fault in (self._failures(), self._cut_short()) if fault]
        return "; ".join(faults) or None

    def _cut_short(self) -> str | None:
        if not self.cut_short:
            return None
        return (
            f"{self.cut_short} requests had no answer when the last user was stopped: how long they take is not "
            "known, and the times of the others are the shorter ones; let it run longer, or with fewer users"
        )

    def _failures(self) -> str | None:
        if not self.failures:
            return None
        named = sorted(self.failures.items(), key=lambda pair: -pair[1])[:_MOST_NAMED]
        kinds = ", ".join(f"{kind} ({count}: {self.details[kind]})" for kind, count in named)
        return f"{self.failed} of {self.requests} requests failed: {kinds}; {advice(self.details.values())}"


def tally(requests: Sequence[UserRequest]) -> Tally:
    ended = [request for request in requests if not request.unfinished]
    successes = [request for request in ended if request.failure is None]
    details: dict[str, str] = {}
    for request in ended:
        if request.failure is not None:
            details.setdefault(request.failure, request.detail)
    quickest_s = min((request.e2el_s for request in successes), default=0.0)
    begin = min((request.sent_at for request in ended), default=0.0)
    return Tally(
        duration_s=max((request.sent_at + request.e2el_s for request in ended), default=0.0) - begin,
        succeeded=len(successes),
        failures=dict(Counter(request.failure for request in ended if request.failure is not None)),
        details=details,
        unfinished=len(requests) - len(ended),
        cut_short=sum(
            request.unfinished and not request.after_end and request.e2el_s >= quickest_s for request in requests
        ),
        prompt_tokens=sum(request.prompt_tokens or 0 for request in successes),
        output_tokens=sum(request.output_tokens or 0 for request in successes),
        times_s={
            "e2el": [request.e2el_s for request in successes],
            "ttft": [request.ttft_s for request in successes if request.ttft_s is not None],
            "tpot": [request.tpot_s for request in successes if request.tpot_s is not None],
        },
    )


def locust_fault(processes: Sequence[LocustProcess], expected: int) -> str | None:
    """Why the test measured Locust, or a part of it, and what to do; None where it did not.

    `expected`: how many of Locust's processes have users.
    """
    if len(processes) < expected:
        return (
            f"{len(processes)} of {expected} of Locust's processes told what they did, so requests are missing and "
            "nobody knows whether they kept up; see Locust's log, and measure again"
        )
    busiest = max(processes, key=lambda process: process.cpu_share)
    if busiest.cpu_share <= MOST_CPU_SHARE:
        return None
    return (
        f"Locust used {busiest.cpu_share:.0%} of a core (limit {MOST_CPU_SHARE:.0%}), so it measured itself: give it "
        f"cores that nothing else uses, or more workers (pytest's --perf-load-workers={len(processes) + 1})"
    )


def told(test: LoadTest, found: Tally) -> dict[str, Any]:
    """What goes into a round's event beside the figures."""
    return {
        "requests": found.requests,
        "succeeded": found.succeeded,
        "failed": found.failed,
        "failures": found.failures,
        "unfinished": found.unfinished,
        "prompt_tokens": found.prompt_tokens,
        "output_tokens": found.output_tokens,
        "client": {
            "processes": len(test.processes),
            "cpu_s": sum(process.cpu_s for process in test.processes),
            "cpu_share": max((process.cpu_share for process in test.processes), default=0.0),
        },
    }
