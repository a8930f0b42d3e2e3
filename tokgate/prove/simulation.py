"""Many nights of many situations, over the cores. What comes out does not depend on how many there are."""

from __future__ import annotations

import multiprocessing
import signal
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from tokgate.prove.rates import Rate
from tokgate.prove.situations import Situation
from tokgate.prove.trial import Column, counted

# Small enough that two cores end together, large enough that sending one costs nothing.
_CHUNK_NIGHTS = 20


@dataclass(frozen=True)
class Result:
    """A situation and, by column, the share of its nights that counted (see trial.counted)."""

    situation: Situation
    rates: dict[Column, Rate]


def simulate(
    situations: Sequence[Situation], nights: int, seed: int, jobs: int, on_nights: Callable[[int], None]
) -> list[Result]:
    """Judges `nights` nights (times its share) of each situation in `jobs` processes; `on_nights` hears of progress."""
    chunks = [
        (number, seeds, count)
        for number, situation in enumerate(situations)
        for seeds, count in _chunks(situation, nights_of(situation, nights), seed)
    ]
    counts: list[Counter[Column]] = [Counter() for _ in situations]
    with _pool(jobs) as submit:
        waiting = {submit(situations[number], seeds, count): (number, count) for number, seeds, count in chunks}
        for done in as_completed(waiting):
            number, count = waiting[done]
            counts[number] += done.result()
            on_nights(count)
    return [
        Result(
            situation,
            {column: Rate(found[column], nights_of(situation, nights)) for column in situation.columns},
        )
        for situation, found in zip(situations, counts, strict=True)
    ]


def nights_of(situation: Situation, nights: int) -> int:
    return max(1, round(nights * situation.share))


def count_nights(situation: Situation, seeds: np.random.SeedSequence, nights: int) -> Counter[Column]:
    """By column, how many of `nights` nights counted."""
    rng = np.random.default_rng(seeds)
    found: Counter[Column] = Counter()
    for _ in range(nights):
        night = situation.source.night(rng)
        found.update(
            column for column, counts in counted(night, situation.columns, situation.pairing).items() if counts
        )
    return found


def _chunks(situation: Situation, nights: int, seed: int) -> Iterator[tuple[np.random.SeedSequence, int]]:
    """A seed of its own for each chunk. By the line's name, so that a new line changes no other."""
    root = np.random.SeedSequence([seed, zlib.crc32(situation.id.encode())])
    for number, seeds in enumerate(root.spawn(-(-nights // _CHUNK_NIGHTS))):
        yield seeds, min(_CHUNK_NIGHTS, nights - number * _CHUNK_NIGHTS)


Submit = Callable[[Situation, np.random.SeedSequence, int], "Future[Counter[Column]]"]


@contextmanager
def _pool(jobs: int) -> Iterator[Submit]:
    """Runs chunks in `jobs` processes; in this one if it is one."""
    if jobs == 1:
        yield _here
        return
    # spawn: numpy's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_leave_interrupts_to_the_parent)
    try:
        yield lambda situation, seeds, nights: pool.submit(count_nights, situation, seeds, nights)
    finally:
        pool.shutdown(cancel_futures=True)


def _here(situation: Situation, seeds: np.random.SeedSequence, nights: int) -> Future[Counter[Column]]:
    future: Future[Counter[Column]] = Future()
    future.set_result(count_nights(situation, seeds, nights))
    return future


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
