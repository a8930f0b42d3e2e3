"""Nights drawn from a recording: real launches, real inflated work, and no assumption on their noise.

A session is a run of neighbouring plain launches. Neighbours are alike, as the launches of a night are; drawn
singly they would mix the minutes of the recording, and every session would be the same average of them. What
all of the recording shares stays unseen: launches recorded on several nights say more than as many of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from statistics import median

import msgspec
import numpy as np

from tokgate.errors import InputError
from tokgate.gate.reference import Key
from tokgate.prove.nights import MOST_SESSIONS, PAIRS, Night, session_of
from tokgate.prove.recording import INFLATIONS, PLAIN, RecordedLaunch, Recording
from tokgate.prove.situations import UNCHANGED, Situation
from tokgate.prove.trial import TOKGATE, Column, verdicts
from tokgate.session import Row

SESSION_LAUNCHES = 6
# A new session shares no launch with those it is held against; with fewer there would be too few of those.
LEAST_PLAIN = 4 * SESSION_LAUNCHES
INJECTED = "output_throughput"
_MDE_NIGHTS = 40


@dataclass(frozen=True)
class Replayed:
    """Nights whose new session has its work inflated by `inflate`; plain ones at 0.

    `launches`: in the order of time.
    """

    machine: Mapping[str, object]
    launches: tuple[RecordedLaunch, ...]
    inflate: float

    def night(self, rng: np.random.Generator) -> Night:
        """An inflated launch is inflated in all its rows; the one that is watched is drawn anew each night."""
        start = int(rng.integers(len(self._new) - SESSION_LAUNCHES + 1))
        now = self._new[start : start + SESSION_LAUNCHES]
        past = [self._block(rng, None if self.inflate else start) for _ in range(MOST_SESSIONS)]
        sessions = [session_of(number, _rows(launches), self.machine) for number, launches in enumerate([*past, now])]
        watched: Key | None = None
        if self.inflate:
            keys = [row.key for row in sessions[-1].rows if row.metric == INJECTED]
            watched = keys[int(rng.integers(len(keys)))]
        return Night(sessions[:-1], sessions[-1], self._pairs(rng), watched)

    @cached_property
    def _plain(self) -> list[int]:
        """The places of the plain launches."""
        return [place for place, launch in enumerate(self.launches) if launch.inflate == PLAIN]

    @cached_property
    def _new(self) -> list[RecordedLaunch]:
        return [launch for launch in self.launches if launch.inflate == self.inflate]

    def _block(self, rng: np.random.Generator, apart_from: int | None) -> list[RecordedLaunch]:
        """Neighbouring plain launches, none of those in the block that begins at `apart_from`."""
        starts = [
            start
            for start in range(len(self._plain) - SESSION_LAUNCHES + 1)
            if apart_from is None or abs(start - apart_from) >= SESSION_LAUNCHES
        ]
        start = starts[int(rng.integers(len(starts)))]
        return [self.launches[place] for place in self._plain[start : start + SESSION_LAUNCHES]]

    def _pairs(self, rng: np.random.Generator) -> dict[Key, list[list[float]]]:
        """Launch values of neighbours in time, PAIRS of them drawn with replacement."""
        pairs: dict[Key, list[list[float]]] = {}
        for _ in range(PAIRS):
            reference, candidate = self._neighbours(rng)
            before = {row.key: row for row in reference.rows}
            for row in candidate.rows:
                if row.gated:
                    values = [median(before[row.key].launches[0]), median(row.launches[0])]
                    pairs.setdefault(row.key, []).append(values)
        return pairs

    def _neighbours(self, rng: np.random.Generator) -> tuple[RecordedLaunch, RecordedLaunch]:
        """A launch of the new software beside a plain one just before or after it, by a coin."""
        if not self.inflate:
            first = int(rng.integers(len(self._plain) - 1))
            two = [self.launches[self._plain[first]], self.launches[self._plain[first + 1]]]
            one = int(rng.integers(2))
            return two[one], two[1 - one]
        places = [place for place, launch in enumerate(self.launches) if launch.inflate == self.inflate]
        place = places[int(rng.integers(len(places)))]
        before = [plain for plain in self._plain if plain < place][-1:]
        after = [plain for plain in self._plain if plain > place][:1]
        near = before + after
        return self.launches[near[int(rng.integers(len(near)))]], self.launches[place]


@dataclass(frozen=True)
class Injection:
    """How much longer the calls of a scenario took: `expected_pct` by the tokens added, and `measured_pct`.

    More tokens inflate the time of a call less than their number: prefill stays as it is, and so does TTFT.
    """

    inflate: float
    scenario: str
    launches: int
    expected_pct: float
    measured_pct: float


@dataclass(frozen=True)
class Detectable:
    """The change of a row that would be seen in 8 of 10 nights, in percent: the median over nights, by column."""

    key: Key
    mde_pct: dict[Column, float]


def situations_of(recording: Recording) -> list[Situation]:
    """The lines that the recording has launches for. Raises InputError if it has too few plain ones."""
    launches = tuple(recording.launches)
    counts = {inflate: sum(launch.inflate == inflate for launch in launches) for inflate in (PLAIN, *INFLATIONS)}
    if counts[PLAIN] < LEAST_PLAIN:
        raise InputError(
            f"the recording has {counts[PLAIN]} plain launches of {len(launches)} in all; at least "
            f"{LEAST_PLAIN} are needed for sessions that do not overlap: go on with tokgate prove --record"
        )
    started = [launch.started for launch in launches]
    heading = (
        f"{recording.head.group} on {recording.head.machine_id}: {counts[PLAIN]} plain launches of "
        f"{started[0][:16]} to {started[-1][:16]}, a session being {SESSION_LAUNCHES} neighbours"
    )
    return [
        Situation(
            "replay",
            f"{100 * inflate:g}% more tokens" if inflate else UNCHANGED,
            heading,
            Replayed(recording.head.machine, launches, inflate),
        )
        for inflate, count in counts.items()
        if count >= SESSION_LAUNCHES
    ]


def detectable(recording: Recording, seed: int) -> list[Detectable]:
    """The minimum detectable effects of the gated rows, over some plain nights."""
    line = situations_of(recording)[0]
    rng = np.random.default_rng(seed)
    seen: dict[tuple[Key, Column], list[float]] = {}
    for _ in range(_MDE_NIGHTS):
        for column, verdict in verdicts(line.source.night(rng), TOKGATE).items():
            for row in verdict.rows:
                if row.mde_pct is not None:
                    seen.setdefault((row.key, column), []).append(row.mde_pct)
    keys = dict.fromkeys(key for key, _ in seen)
    return [
        Detectable(key, {column: median(seen[key, column]) for column in TOKGATE if (key, column) in seen})
        for key in keys
    ]


def injections(recording: Recording) -> list[Injection]:
    """What the inflated launches show of their inflation, by medians of launch values."""
    launches = recording.launches
    found = []
    for inflate in INFLATIONS:
        for scenario in recording.head.scenarios:
            plain, inflated = _medians(launches, PLAIN, scenario), _medians(launches, inflate, scenario)
            if not plain or not inflated:
                continue
            added_s = inflate * recording.head.output_len * plain["tpot"]
            count = sum(launch.inflate == inflate for launch in launches)
            measured = inflated["e2el"] / plain["e2el"] - 1
            found.append(Injection(inflate, scenario, count, 100 * added_s / plain["e2el"], 100 * measured))
    return found


def _medians(launches: Sequence[RecordedLaunch], inflate: float, scenario: str) -> dict[str, float]:
    """Metric -> the median launch, in seconds."""
    values: dict[str, list[float]] = {}
    for launch in launches:
        for row in launch.rows:
            if launch.inflate == inflate and row.scenario == scenario and row.metric in ("e2el", "tpot"):
                values.setdefault(row.metric, []).append(median(row.launches[0]))
    return {metric: median(of_launches) for metric, of_launches in values.items()}


def _rows(launches: Sequence[RecordedLaunch]) -> list[Row]:
    """The rows of a session of these launches: as samples.rows_of would have made them at once."""
    return [
        msgspec.structs.replace(rows[0], launches=list(chain.from_iterable(row.launches for row in rows)))
        for rows in zip(*(launch.rows for launch in launches), strict=True)
    ]
