"""Nodes of one machine id, compared with each other: which of them are slower than their peers.

A node's value is the mean of y = log(value), larger is worse, over the gated rows that all of them measured: the
logarithm of a geometric mean. It is held against the median of the others, its peers. The peers' spread is the
standard deviation of all but the slowest fifth of them, so that one more slow node does not hide this one. A node is
named when it is beyond max(margin, k spreads).

k is such that of fleets of equal nodes, whose values are normal, 1 in 100 has a node named, whatever the size of the
fleet: the 99% point of the slowest node's distance, simulated with a fixed seed. Few peers know their own spread badly,
and k says so: 15 for four nodes, 8 for eight, 5.4 for twenty; a node is found in 80% of nights when it is 20, 9 and 6
spreads behind. The margin, on a CPU 6%, keeps differences that nobody would act on from being named however alike the
nodes are. It is that of pairs, since peers share the night, or the rows' own.

Nodes whose values have a slow tail are named more often (exponential tails, spread 2%: 3% of fleets of six, 26% of
twenty): they were slower that night, and whether they are so every night the next one tells. Being named is therefore a
remark, and changes no exit status.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

import numpy as np

from tokgate.gate.acceptance import Stamp, entries
from tokgate.gate.defaults import mean_of, thresholds
from tokgate.gate.fingerprint import changes_since
from tokgate.gate.history import Accepted
from tokgate.gate.scale import change_pct, delta_of, harm, session_value
from tokgate.session import Row, Session

# With fewer, no spread can be told from them.
LEAST_PEERS = 3
_FALSE_ALARMS = 0.01
_SEED = 20261121
Key = tuple[str, str]


@dataclass(frozen=True)
class Standing:
    """A node among its peers. Changes in percent of time taken, positive when slower; None: nothing can be said.

    `change_pct`: over `rows` gated rows. `named_from_pct`: from which change on it would be named slower. `worst`:
    the row in which it is farthest behind, and `worst_pct` by how much. `odd`: versions and settings that none of its
    peers has, as "governor performance -> powersave", theirs first.
    """

    machine: str
    peers: int
    rows: int = 0
    change_pct: float | None = None
    named_from_pct: float | None = None
    worst: Key | None = None
    worst_pct: float | None = None
    odd: tuple[str, ...] = ()

    @property
    def slower(self) -> bool:
        return self.change_pct is not None and self.named_from_pct is not None and self.change_pct > self.named_from_pct


def standings(sessions: Mapping[str, Session]) -> dict[str, Standing]:
    """Node -> its standing among the nodes with its machine id and profile. `sessions`: node -> its valid session."""
    alike: dict[tuple[str, str], dict[str, Session]] = {}
    for node, session in sessions.items():
        alike.setdefault((session.machine_id, session.profile), {})[node] = session
    return {node: standing for nodes in alike.values() for node, standing in _compared(nodes).items()}


@functools.lru_cache(maxsize=64)
def factor(nodes: int) -> float:
    """k: how many spreads of its peers the slowest of `nodes` equal nodes lies behind them in 1 fleet of 100."""
    draws = max(2_000, min(20_000, 2_000_000 // nodes))
    ys = np.sort(np.random.default_rng(_SEED).standard_normal((draws, nodes)), axis=1)
    peers = ys[:, :-1]
    spreads = peers[:, : _kept(nodes - 1)].std(axis=1, ddof=1)
    return float(np.quantile((ys[:, -1] - np.median(peers, axis=1)) / spreads, 1.0 - _FALSE_ALARMS))


def _compared(nodes: Mapping[str, Session]) -> dict[str, Standing]:
    """Standings of nodes with one machine id."""
    rows = {node: {row.key: row for row in session.rows if row.gated} for node, session in nodes.items()}
    shared = [key for key in next(iter(rows.values())) if all(key in found for found in rows.values())]
    ys = {node: [_y(found[key]) for key in shared] for node, found in rows.items()}
    told = {node: entries([session], shared[0][0], Stamp("", "", "")) for node, session in nodes.items() if shared}

    def standing(node: str, session: Session) -> Standing:
        others = [other for other in nodes if other != node]
        if len(others) < LEAST_PEERS or not shared:
            return Standing(session.machine_id, len(others), len(shared))
        by_row = [y - median(ys[other][at] for other in others) for at, y in enumerate(ys[node])]
        worst = max(range(len(shared)), key=lambda at: by_row[at])
        peers = [fmean(ys[other]) for other in others]
        own = [rows[node][key] for key in shared]
        return Standing(
            machine=session.machine_id,
            peers=len(others),
            rows=len(shared),
            change_pct=_pct(fmean(ys[node]) - median(peers)),
            named_from_pct=_pct(max(_margin(own, session.machine_kind), factor(len(nodes)) * _spread(peers))),
            worst=shared[worst],
            worst_pct=_pct(by_row[worst]),
            odd=_odd(session, [entry for other in others for entry in told[other]]),
        )

    return {node: standing(node, session) for node, session in nodes.items()}


def _y(row: Row) -> float:
    return harm(session_value(row.launches, row.better), row.better)


def _pct(delta: float) -> float:
    return change_pct(delta, "lower")


def _margin(rows: Sequence[Row], kind: str) -> float:
    return delta_of(mean_of([thresholds(row, kind, paired=True) for row in rows]).margin_pct, "lower")


def _kept(peers: int) -> int:
    """How many of them, fastest first, tell the spread: of three or four all."""
    return peers - peers // 5


def _spread(peers: Sequence[float]) -> float:
    """Not 0, which copied figures would give: then the margin decides."""
    return max(stdev(sorted(peers)[: _kept(len(peers))]), math.ulp(1.0))


def _odd(session: Session, others: Sequence[Accepted]) -> tuple[str, ...]:
    """Between nodes the gate's question is the same as between nights: what is here that was in none of the others."""
    return tuple(str(change) for change in changes_since(others, session))
