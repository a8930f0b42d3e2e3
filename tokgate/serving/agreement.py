"""Whether two load clients say the same of one server, and if not, which of the two was late. Pure.

A client that looks at what arrived when it finds the time sees first tokens later than they came. It shows in TTFT
first, and then in a TPOT that is too small: what was waiting comes at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

METRICS = ("output_throughput", "mean_tpot", "mean_ttft")
_NAMES = {"output_throughput": "output throughput", "mean_tpot": "mean TPOT", "mean_ttft": "mean TTFT"}


@dataclass(frozen=True)
class Agreement:
    """Values of METRICS by tokgate's client, and by `vllm bench serve`; tokens a second, and seconds."""

    ours: Mapping[str, float]
    theirs: Mapping[str, float]

    def faults(self, most_pct: float) -> list[str]:
        """Throughput or TPOT further apart than that, or a TTFT of ours that is the later one."""
        found = []
        for metric in METRICS[:2]:
            if abs(self._change_pct(metric)) > most_pct:
                found.append(f"{self._told(metric)}: expected within {most_pct:g}%; {self.later}")
        if self.late_s > 0:
            found.append(f"{self._told('mean_ttft')}: {self.later}")
        return found

    @property
    def factor(self) -> float:
        """How many times larger the one's value is than the other's, of the metric that they differ in most."""
        return max(max(pair) / min(pair) for pair in ((self.ours[metric], self.theirs[metric]) for metric in METRICS))

    @property
    def late_s(self) -> float:
        """By how much our TTFT is the later one; below 0 theirs is."""
        return self.ours["mean_ttft"] - self.theirs["mean_ttft"]

    @property
    def later(self) -> str:
        whose = "tokgate's client" if self.late_s > 0 else "vllm bench serve"
        return f"{whose} was the later one, by {1e3 * abs(self.late_s):.3g} ms of TTFT"

    def __str__(self) -> str:
        return "; ".join([*map(self._told, METRICS), self.later])

    def _told(self, metric: str) -> str:
        ours, theirs = (_text(metric, side[metric]) for side in (self.ours, self.theirs))
        change = f"{self._change_pct(metric):+.1f}%"
        return f"{_NAMES[metric]} {ours} by tokgate's client, {theirs} by vllm bench serve ({change})"

    def _change_pct(self, metric: str) -> float:
        return 100 * (self.ours[metric] / self.theirs[metric] - 1)


def _text(metric: str, value: float) -> str:
    return f"{value:.5g} tok/s" if metric == "output_throughput" else f"{1e3 * value:.4g} ms"
