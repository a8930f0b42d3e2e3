"""How well a load client itself kept up, and when what it measured is itself. Pure."""

from __future__ import annotations

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
# Of the time between first and last token, so also of TPOT.
_MAX_TPOT_SHARE = 0.02
# What a quiet client on a shared machine shows now and then, and no figure in seconds is wrong by.
_NEGLIGIBLE_S = 0.001


@dataclass(frozen=True)
class ClientHealth:
    """Whether the client kept up. Seconds; the worst over the client's processes.

    `cpu_share`: CPU seconds over wall seconds of the busiest process, of one core. `loop_lag_*`: how late its event
    loop learned of what was due, and so how late arrivals may have been stamped. `schedule_lag_*`: how late requests
    of an open loop were sent that had a slot, 0 in a closed one.
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

    @property
    def is_busy(self) -> bool:
        """Whether its own work may be what makes it late, so that more processes would help."""
        return self.cpu_share > _BUSY_CPU_SHARE

    def fault(self, ttft_s: float, decode_s: float) -> str | None:
        """Why the run measured the client, and what to do; None where it did not.

        `ttft_s` and `decode_s` are means over the requests: time to the first message, and from there to the last.
        Messages are stamped late by the loop's lag. Its mean is so much too much of TTFT; a request's TPOT is wrong by
        the difference of two lags over its length.
        """
        late = _MAX_TTFT_SHARE * ttft_s
        if self.cpu_share > _MAX_CPU_SHARE:
            seen = f"used {self.cpu_share:.0%} of a core (limit {_MAX_CPU_SHARE:.0%})"
        elif self.loop_lag_mean_s > max(late, _NEGLIGIBLE_S):
            seen = f"stamped messages {_ms(self.loop_lag_mean_s)} late on average, at a mean TTFT of {_ms(ttft_s)}"
        elif self.loop_lag_p99_s > max(_MAX_TPOT_SHARE * decode_s, _NEGLIGIBLE_S):
            seen = (
                f"stamped 1 message in 100 late by {_ms(self.loop_lag_p99_s)} or more, where first and last token are"
                f" {_ms(decode_s)} apart"
            )
        elif self.schedule_lag_p99_s > max(late, _NEGLIGIBLE_S):
            seen = (
                f"sent 1 request in 100 behind its schedule by {_ms(self.schedule_lag_p99_s)} or more, at a mean TTFT"
                f" of {_ms(ttft_s)}"
            )
        else:
            return None
        return f"the client {seen}, so it measured itself: give it a core that nothing else uses"


class Watched(Protocol):
    """What a client process tells of itself."""

    @property
    def cpu_s(self) -> float: ...
    @property
    def wall_s(self) -> float: ...
    @property
    def loop_lag_s(self) -> array[float]: ...
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
    )


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"
