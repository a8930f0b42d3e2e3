"""How long launches still take, by those that have ended: loading, warming up and repeated rounds are in their time."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Estimate:
    """`rounds`: planned in each of `launches`; times by one clock, in seconds."""

    launches: int
    rounds: int
    started_s: float
    _ended_s: list[float] = field(default_factory=list)
    _rounds_done: int = 0
    _last_round_s: float = 0.0

    def round_ended(self, now_s: float) -> None:
        self._rounds_done += 1
        self._last_round_s = now_s

    def launch_ended(self, now_s: float) -> None:
        self._ended_s.append(now_s)
        self._rounds_done = 0

    @property
    def share(self) -> float:
        """Of all launches, 0 to 1. A launch that repeats disturbed rounds is not done before it has ended."""
        running = min(self._rounds_done, self.rounds) / self.rounds
        return min(1.0, (len(self._ended_s) + running) / self.launches)

    def left_s(self, now_s: float) -> float | None:
        """Before the first launch has ended, by its rounds so far: too long, as all of its loading is in them.

        None before the first round.
        """
        if self._ended_s:
            each_s = (self._ended_s[-1] - self.started_s) / len(self._ended_s)
            return max(0.0, each_s * (self.launches - len(self._ended_s)) - (now_s - self._ended_s[-1]))
        if not self._rounds_done:
            return None
        whole_s = (self._last_round_s - self.started_s) / self.share
        return max(0.0, whole_s - (now_s - self.started_s))


def left_text(seconds: float | None) -> str:
    """As "3:07 left" or "1:02:00 left"."""
    if seconds is None:
        return "-:-- left"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"
