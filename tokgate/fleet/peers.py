"""Nodes of one machine id, compared with each other: which of them are slower than their peers.

A node has a session a matrix, and each matrix is compared by itself, between the nodes that have a valid session of it:
sessions that share a scenario are of one matrix.

A node's value is the mean of y = log(value), larger is worse, over the gated rows that all of them measured: the
logarithm of a geometric mean. It is held against the median of the others, its peers. The peers' spread is the
standard deviation of all but the slowest fifth of them, so that one more slow node does not hide this one. A node is
named when it is beyond max(margin, k spreads).

k is such that of fleets of equal nodes, whose values are normal, 1 in 100 has a node named, whatever the size of the
fleet and however many matrices it compares: the 99% point of the slowest node's distance, of three matrices the 99.67%
point, simulated with a fixed seed. Few peers know their own spread badly,
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

import msgspec
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


@dataclass
class _Matrix:
    """The scenarios that tie sessions together; node -> its session of them."""

    scenarios: set[str]
    nodes: dict[str, Session]


def standings(nodes: Mapping[str, Sequence[Session]]) -> dict[str, dict[str, Standing]]:
    """Node -> session id -> how it stands among the nodes with its machine id, profile and matrix.

    `nodes`: node -> its valid sessions.
    """
    alike: dict[tuple[str, str], list[tuple[str, Session]]] = {}
    for node, sessions in nodes.items():
        for session in sessions:
            alike.setdefault((session.machine_id, session.profile), []).append((node, session))
    found: dict[str, dict[str, Standing]] = {node: {} for node in nodes}
    for made in alike.values():
        matrices = _matrices(made)
        comparisons = sum(len(matrix.nodes) > LEAST_PEERS for matrix in matrices)
        for matrix in matrices:
            compared = _compared(matrix.nodes, comparisons)
            for node, session in made:
                if node in compared and not matrix.scenarios.isdisjoint(_scenarios(session)):
                    found[node][session.id] = compared[node]
    return found


def _matrices(made: Sequence[tuple[str, Session]]) -> list[_Matrix]:
    """Nodes of other versions may have split the same scenarios otherwise: then a node's sessions count as one."""
    found: list[_Matrix] = []
    for node, session in made:
        whole = _Matrix(_scenarios(session), {node: session})
        apart = []
        for matrix in found:
            if matrix.scenarios.isdisjoint(whole.scenarios):
                apart.append(matrix)
            else:
                whole = _joined(matrix, whole)
        found = [*apart, whole]
    return found


def _joined(left: _Matrix, right: _Matrix) -> _Matrix:
    nodes = dict(left.nodes)
    for node, session in right.nodes.items():
        nodes[node] = _one(nodes[node], session) if node in nodes else session
    return _Matrix(left.scenarios | right.scenarios, nodes)


def _one(left: Session, right: Session) -> Session:
    return msgspec.structs.replace(left, rows=[*left.rows, *right.rows], software={**left.software, **right.software})


def _scenarios(session: Session) -> set[str]:
    return {row.scenario for row in session.rows}


@functools.lru_cache(maxsize=64)
def factor(nodes: int, comparisons: int = 1) -> float:
    """k: how many spreads of its peers the slowest of `nodes` equal nodes lies behind them in 1 fleet of 100.

    With several comparisons of a fleet: in any of them.
    """
    draws = comparisons * max(2_000, min(20_000, 2_000_000 // nodes))
    ys = np.sort(np.random.default_rng(_SEED).standard_normal((draws, nodes)), axis=1)
    peers = ys[:, :-1]
    spreads = peers[:, : _kept(nodes - 1)].std(axis=1, ddof=1)
    return float(np.quantile((ys[:, -1] - np.median(peers, axis=1)) / spreads, 1.0 - _FALSE_ALARMS / comparisons))


def _compared(nodes: Mapping[str, Session], comparisons: int) -> dict[str, Standing]:
    """Standings of nodes with one machine id in one matrix, of so many comparisons of them."""
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
            named_from_pct=_pct(
                max(_margin(own, session.machine_kind), factor(len(nodes), comparisons) * _spread(peers))
            ),
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
