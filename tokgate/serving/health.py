"""How well a load client itself kept up, and when what it measured is itself. Pure."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

# Beyond this an event loop falls behind in every burst.
_MAX_CPU_SHARE = 0.9
# Below half of that it waits most of the time: not its own work makes it late, and to divide that work does not help.
_BUSY_CPU_SHARE = _MAX_CPU_SHARE / 2
# Of the mean TTFT: half of what the gate takes for the same on a GPU, paired.
_MAX_TTFT_SHARE = 0.03
# Of the time between first and last token, so also of TPOT; of TTFT where there is no TPOT.
_MAX_TPOT_SHARE = 0.02
# Of the median ITL: a single gap is wrong by the difference of two lags, which TPOT spreads over a whole answer.
_MAX_ITL_SHARE = 0.1
# A sensor that works has a sample for every 10 ms, at whatever load.
_MAX_UNWATCHED_SHARE = 0.5
_WATCHED_FROM_S = 0.1
# What a quiet client on a shared machine shows now and then, and no figure in seconds is wrong by.
_NEGLIGIBLE_S = 0.001
# Of fewer the 99th percentile lies between the two largest, so that one of them decides.
_ENOUGH_SAMPLES = 100


@dataclass(frozen=True)
class ClientHealth:
    """Whether the client kept up. Seconds; the worst over the client's processes.

    `cpu_share`: CPU seconds over wall seconds of the busiest process, of one core. `loop_lag_*`: how late its event
    loop learned of what was due, and so how late arrivals may have been stamped. `schedule_lag_*`: how late requests of
    an open loop were begun that had a slot, without the making of a connection; 0 in a closed one. `*_samples`: of how
    many samples its 99th percentile is, 0 where that is not known. `unwatched_share`: for how much of the run nobody
    looked how late the loop was, 0 of one too short to tell.
    """

    processes: int
    cpu_s: float
    cpu_share: float
    loop_lag_p50_s: float
    loop_lag_p99_s: float
    loop_lag_max_s: float
    schedule_lag_p99_s: float
    schedule_lag_max_s: float
    loop_lag_mean_s: float = 0.0
    unwatched_share: float = 0.0
    loop_lag_samples: int = 0
    schedule_lag_samples: int = 0

    @property
    def is_busy(self) -> bool:
        """Whether its own work may be what makes it late, so that more processes would help."""
        return self.cpu_share > _BUSY_CPU_SHARE

    @property
    def is_known(self) -> bool:
        """Whether it was looked at for long enough."""
        return self.unwatched_share <= _MAX_UNWATCHED_SHARE

    def fault(self, ttft_s: float, decode_s: float | None) -> str | None:
        """Why the run measured the client, and what to do; None where it did not.

        `ttft_s` and `decode_s` are means over the requests: time to the first message, and from there to the last.
        Messages are stamped late by the loop's lag. Its mean is so much too much of TTFT; a request's TPOT is wrong by
        the difference of two lags over its length. Where no request has a TPOT, `decode_s` is None, and a lag now and
        then is held against TTFT, which is all that there is.
        """
        if not self.is_known:
            return (
                f"for {self.unwatched_share:.0%} of the run nothing tells how late the client was (limit"
                f" {_MAX_UNWATCHED_SHARE:.0%}), so what it measured may be itself: the kernel's timer gave too few"
                " samples; measure again, on another machine if it stays so"
            )
        late, samples = _MAX_TTFT_SHARE * ttft_s, self.loop_lag_samples
        if self.cpu_share > _MAX_CPU_SHARE:
            # A share of the whole run, and not of its samples.
            samples = 0
            seen = f"used {self.cpu_share:.0%} of a core (limit {_MAX_CPU_SHARE:.0%})"
        elif self.loop_lag_mean_s > max(late, _NEGLIGIBLE_S):
            seen = f"stamped messages {_ms(self.loop_lag_mean_s)} late on average, at a mean TTFT of {_ms(ttft_s)}"
        elif self.loop_lag_p99_s > max(_MAX_TPOT_SHARE * (ttft_s if decode_s is None else decode_s), _NEGLIGIBLE_S):
            if decode_s is None:
                took = f"an answer of one token takes {_ms(ttft_s)}"
            else:
                took = f"first and last token are {_ms(decode_s)} apart"
            seen = f"{self._late_now_and_then}, where {took}"
        elif self.schedule_lag_p99_s > max(late, _NEGLIGIBLE_S):
            samples = self.schedule_lag_samples
            one = f"1 of {samples} requests that had a slot" if _are_few(samples) else "1 request in 100"
            seen = (
                f"sent {one} behind its schedule by {_ms(self.schedule_lag_p99_s)} or more, at a mean TTFT"
                f" of {_ms(ttft_s)}"
            )
        else:
            return None
        longer = "run it for longer (more prompts), so that no single sample decides, and " if _are_few(samples) else ""
        return f"the client {seen}, so it measured itself: {longer}give it a core that nothing else uses"

    def itl_doubt(self, itl_s: float) -> str | None:
        """Why the spread of the ITL is the client's own, None where it is not; `itl_s`: its median over all gaps.

        Its mean is right as long as TPOT is, and its median as long as the loop is late now and then alone.
        """
        if self.loop_lag_p99_s <= max(_MAX_ITL_SHARE * itl_s, _NEGLIGIBLE_S):
            return None
        return (
            f"the client {self._late_now_and_then}, at a median ITL of {_ms(itl_s)}: how much single gaps differ is its"
            " own doing, so only their mean and median are told"
        )

    @property
    def _late_now_and_then(self) -> str:
        by = f"late by {_ms(self.loop_lag_p99_s)} or more"
        if _are_few(self.loop_lag_samples):
            return f"was {by} in 1 of {self.loop_lag_samples} samples (one every 10 ms)"
        return f"stamped 1 message in 100 {by}"


class Watched(Protocol):
    """What a client process tells of itself."""

    @property
    def cpu_s(self) -> float: ...
    @property
    def wall_s(self) -> float: ...
    @property
    def loop_lag_s(self) -> array[float]: ...
    @property
    def watched_s(self) -> float: ...
    @property
    def schedule_lag_s(self) -> array[float]: ...


def health(processes: Sequence[Watched]) -> ClientHealth:
    """The worst over the processes."""

    def worst(series: Sequence[array[float]], percentile: float) -> float:
        return max((float(np.percentile(each, percentile)) for each in series if each), default=0.0)

    loop_lag_s = [process.loop_lag_s for process in processes]
    schedule_lag_s = [process.schedule_lag_s for process in processes]
    return ClientHealth(
        processes=len(processes),
        cpu_s=sum(process.cpu_s for process in processes),
        cpu_share=max(process.cpu_s / process.wall_s for process in processes),
        loop_lag_p50_s=worst(loop_lag_s, 50),
        loop_lag_p99_s=worst(loop_lag_s, 99),
        loop_lag_max_s=worst(loop_lag_s, 100),
        schedule_lag_p99_s=worst(schedule_lag_s, 99),
        schedule_lag_max_s=worst(schedule_lag_s, 100),
        loop_lag_mean_s=max((float(np.mean(each)) for each in loop_lag_s if each), default=0.0),
        unwatched_share=max(_unwatched_share(process) for process in processes),
        loop_lag_samples=_samples_of_worst(loop_lag_s),
        schedule_lag_samples=_samples_of_worst(schedule_lag_s),
    )


def _samples_of_worst(series: Sequence[array[float]]) -> int:
    """Of the process whose 99th percentile is the one that is told."""
    return len(max(series, key=lambda each: float(np.percentile(each, 99)) if each else -math.inf))


def _are_few(samples: int) -> bool:
    return 0 < samples < _ENOUGH_SAMPLES


def _unwatched_share(process: Watched) -> float:
    if process.wall_s < _WATCHED_FROM_S:
        return 0.0
    return max(0.0, 1 - process.watched_s / process.wall_s)


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"
