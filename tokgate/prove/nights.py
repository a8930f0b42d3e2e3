"""One night to be judged: real sessions and real accepted baselines, whether simulated or replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from tokgate.gate.acceptance import Stamp, entries, merge
from tokgate.gate.history import Accepted, Baselines
from tokgate.gate.reference import Key
from tokgate.prove.noise import Effect, Noise, Values, draw
from tokgate.session import SCHEMA, Row, Session

# As many as the larger of the two baselines that the table shows.
MOST_SESSIONS = 10
PAIRS = 12
PROFILE = "nightly"
_STAMP = Stamp("2026-01-31T00:00:00Z", "proof", "tokgate prove")
# Levels as unlike as those of a real matrix; the gate must not care.
_SLOWEST_TOK_S = 10.0
_FASTEST_TOK_S = 10_000.0


@dataclass(frozen=True)
class Night:
    """`past`: sessions to accept, oldest first; `now`: the one to judge; `pairs`: launch values by row.

    `watched`: the row that is slower, if it is one; a rate then counts the nights on which it was caught, else
    the red nights.
    """

    past: Sequence[Session]
    now: Session
    pairs: Mapping[Key, list[list[float]]]
    watched: Key | None

    def in_pairs(self, keys: Sequence[Key]) -> Session:
        """The session of `now` with the pairs of the rows `keys`."""
        chosen = set(keys)
        rows = [
            msgspec.structs.replace(row, pairs=self.pairs[row.key]) if row.key in chosen else row
            for row in self.now.rows
        ]
        return msgspec.structs.replace(self.now, rows=rows)


class Source(Protocol):
    """Where nights come from: a noise, or a recording."""

    def night(self, rng: np.random.Generator) -> Night: ...


@dataclass(frozen=True)
class Simulated:
    """Nights of a noise on which the software changed by `effect`."""

    noise: Noise
    effect: Effect

    def night(self, rng: np.random.Generator) -> Night:
        drawn = draw(self.noise, self.effect, MOST_SESSIONS, PAIRS, rng)
        names = [f"simulated.onnx.int8.b{row + 1}.p5.o50" for row in range(self.noise.rows)]
        scale = np.geomspace(_SLOWEST_TOK_S, _FASTEST_TOK_S, self.noise.rows)
        past = [
            session_of(number, _rows(names, scale, y), {"id": f"simulated-{self.noise.kind}", "kind": self.noise.kind})
            for number, y in enumerate([*drawn.past, drawn.now])
        ]
        pairs = (scale[:, None, None] * np.exp(-drawn.pairs)).tolist()
        keys = [row.key for row in past[-1].rows]
        watched = None if drawn.watched is None else keys[drawn.watched]
        return Night(past[:-1], past[-1], dict(zip(keys, pairs, strict=True)), watched)


def session_of(number: int, rows: list[Row], machine: Mapping[str, object]) -> Session:
    """The `number`th session of a history: as a run makes it, of the nightly profile, valid."""
    return Session(
        schema=SCHEMA,
        id=f"night-{number:02d}",
        started=f"2026-01-{number + 1:02d}T03:00:00Z",
        profile=PROFILE,
        machine=dict(machine),
        software={},
        valid=True,
        reasons=[],
        rows=rows,
    )


def accepted(sessions: Sequence[Session]) -> Baselines:
    """What accepting these sessions leaves, without files: each scenario through the store's own functions."""
    scenarios: dict[str, tuple[Accepted, ...]] = {}
    for name in dict.fromkeys(row.scenario for session in sessions for row in session.rows):
        found = entries(sessions, name, _STAMP)
        after, _ = merge((), found, Path(f"{name}.json"), PROFILE, replace=False)
        scenarios[name] = tuple(after)
    return Baselines(sessions[0].machine_id, scenarios)


def newest(baselines: Baselines, count: int) -> Baselines:
    """The same store had only the newest `count` sessions been accepted."""
    return Baselines(baselines.machine_id, {name: kept[-count:] for name, kept in baselines.scenarios.items()})


def _rows(names: Sequence[str], scale: Values, y: Values) -> list[Row]:
    values = (scale[:, None, None] * np.exp(-y)).tolist()
    return [
        Row(scenario=name, metric="output_throughput", unit="tok/s", better="higher", gated=True, launches=launches)
        for name, launches in zip(names, values, strict=True)
    ]
