"""Two load clients on one server, round by round: how far what they say is apart. Pure.

A client that looks at what arrived when it finds the time sees first tokens later than they came. It shows in TTFT
first, and then in a TPOT that is too small: what was waiting comes at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain

from msgspec.structs import replace

from tokgate.gate.change import Change
from tokgate.gate.paired import compare_pairs, differences, trimmed_mean
from tokgate.gate.scale import harm, value_of
from tokgate.gate.variance import NO_PRIOR
from tokgate.session import Row

# Of tokgate's client; those of `vllm bench serve` begin with THEIRS.
METRICS = ("output_throughput", "mean_tpot", "mean_ttft")
THEIRS = "vllm_bench_"


@dataclass(frozen=True)
class Agreement:
    """A metric by tokgate's client and by `vllm bench serve`, of the same rounds.

    A round starts both commands anew, in turn, on one server: what that server and its machine are at is on both sides
    of a pair, and a pair is to the two clients what a pair of launches is to two engines in gate/paired.py. So rounds
    are the unit, of whichever launch, and the same trimmed mean and its Student's t judge them. What is not in the
    interval is that one server may suit a client better than the next one does: simulated, of three launches of two
    rounds, 94% of intervals hold the truth where servers do not differ in it, and 93% where they do by half as much
    as rounds (of three rounds 95% and 91%).
    """

    row: Row

    @classmethod
    def of(cls, ours: Row, theirs: Row) -> Agreement:
        """Raises ValueError where a round lacks one of the two: which of the others belong together is not known."""
        counts = [[len(launch) for launch in row.launches] for row in (ours, theirs)]
        if counts[0] != counts[1]:
            raise ValueError(
                f"{ours.metric} is of {counts[0]} rounds by launch, {theirs.metric} of {counts[1]}; expected both of "
                "every round: see the worker's log for the client that did not measure"
            )
        pairs = zip(chain(*theirs.launches), chain(*ours.launches), strict=True)
        return cls(replace(ours, pairs=[list(pair) for pair in pairs]))

    @property
    def ours(self) -> float:
        """In the metric's unit: the trimmed mean over rounds, as `theirs` and the change are."""
        return self._mean(1)

    @property
    def theirs(self) -> float:
        return self._mean(0)

    @property
    def change(self) -> Change:
        """From theirs to ours; of a single pair the error is NaN."""
        found = differences(self.row)
        if len(found) < 2:
            return Change(found[0], math.nan, math.nan)
        compared = compare_pairs(self.row, NO_PRIOR)
        return Change(compared.delta, compared.standard_error, compared.df)

    @property
    def ratios(self) -> list[float]:
        """Ours over theirs, of each pair."""
        return [ours / theirs for theirs, ours in self.row.pairs or []]

    def _mean(self, side: int) -> float:
        better = self.row.better
        return value_of(trimmed_mean([harm(pair[side], better) for pair in self.row.pairs or []]), better)
