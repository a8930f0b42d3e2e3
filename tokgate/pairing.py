"""Paired measuring: in which order reference and candidate take turns, and the pairs that their launches make. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from tokgate.gate.accuracy import LOGIT_DISTANCE_RATIO, LOGIT_DISTANCE_SLACK, TOP1_DROP
from tokgate.gate.fingerprint import Difference
from tokgate.launch import LaunchRecord
from tokgate.options import LEAST_PAIRS
from tokgate.samples import because_of, unequal_work, unmeasured
from tokgate.scenario import Scenario
from tokgate.session import Accuracy

Side = Literal["reference", "candidate"]
REFERENCE: Side = "reference"
CANDIDATE: Side = "candidate"


@dataclass(frozen=True)
class Turn:
    """One launch: which pair it belongs to, counted from 0, and whose it is."""

    pair: int
    side: Side


@dataclass(frozen=True)
class Pairing:
    """A scenario's pairs: metric -> [[reference, candidate], ...], launch values in the metric's unit.

    `faults`: why they cannot be believed; `note`: what a reader should know of pairs that can.
    """

    values: dict[str, list[list[float]]]
    faults: list[str] = field(default_factory=list)
    note: str | None = None


def order(pairs: int, seed: str) -> list[Turn]:
    """The launches in their order: blocks of two pairs, ABBA or BAAB by a coin, so that a drift cancels in each.

    An odd last pair is AB or BA by a coin.
    """
    coin = random.Random(seed)
    turns = []
    for first in range(0, pairs, 2):
        sides = [REFERENCE, CANDIDATE] if coin.random() < 0.5 else [CANDIDATE, REFERENCE]
        turns += [Turn(first, side) for side in sides]
        if first + 1 < pairs:
            turns += [Turn(first + 1, side) for side in reversed(sides)]
    return turns


def least_usable(planned: int) -> int:
    """Of so many planned pairs two thirds, rounded up: with fewer a scenario is not judged."""
    return max(LEAST_PAIRS, -(-2 * planned // 3))


def pair_up(
    scenarios: Sequence[Scenario],
    references: Sequence[LaunchRecord],
    candidates: Sequence[LaunchRecord],
    planned: int,
) -> dict[str, Pairing]:
    """The pairs of a group by scenario id; launch n of one side and launch n of the other are pair n.

    A pair needs an undisturbed round on both sides. What one scenario lacks, the others leave out too: the gate
    averages rows pair by pair, so pair n must be of the same minutes in all. Not where that would leave too few.
    """
    least = least_usable(planned)
    own = {scenario.id: _usable(scenario, references, candidates) for scenario in scenarios}
    enough = [set(pairs) for pairs in own.values() if len(pairs) >= least]
    shared = set.intersection(*enough) if enough else set()
    found = {}
    for scenario in scenarios:
        usable = own[scenario.id]
        if len(usable) >= least and len(shared) >= least:
            usable = sorted(shared)
        both = [*references, *candidates]
        told = f"{len(usable)} of {planned} pairs are usable"
        faults = unequal_work(scenario, references, f"{REFERENCE}: ") + unequal_work(scenario, candidates)
        faults += unmeasured(scenario, references, f"{REFERENCE}: ") + unmeasured(scenario, candidates)
        if len(usable) < least:
            faults.append(f"{told}, at least {least} are needed{because_of(scenario, both)}")
        note = f"{scenario.id}: {told}{because_of(scenario, both, most=1)}" if least <= len(usable) < planned else None
        values = _values(scenario, [references[pair] for pair in usable], [candidates[pair] for pair in usable])
        found[scenario.id] = Pairing(values, faults, note)
    return found


def other_outputs(reference: Accuracy, candidate: Accuracy) -> list[str]:
    """Why the candidate computes something else than the reference: a fast wrong engine is not faster.

    Both are compared with the same FP32 outputs; by how much they may differ is what a session may differ from
    the accepted ones by.
    """
    agrees, agreed = candidate.top1_agreement, reference.top1_agreement
    apart, was_apart = candidate.logit_distance, reference.logit_distance
    faults = []
    if agrees < agreed - TOP1_DROP:
        faults.append(
            f"{candidate.group}: top-1 agrees in {agrees:.0%}, in {agreed:.0%} with the reference; "
            f"at most {TOP1_DROP:.0%} fewer are allowed: the candidate computes something else"
        )
    allowed = was_apart * LOGIT_DISTANCE_RATIO + LOGIT_DISTANCE_SLACK
    if apart > allowed:
        faults.append(
            f"{candidate.group}: logits are {apart:.1e} apart from FP32, {was_apart:.1e} with the reference; "
            f"at most {allowed:.1e} is allowed: the candidate computes something else"
        )
    return faults


def same_engine(
    references: Sequence[LaunchRecord], candidates: Sequence[LaunchRecord], differences: Sequence[Difference]
) -> list[str]:
    """Packages of which the two environments hold different versions, and both sides loaded the same.

    PYTHONPATH reaches both: a package on it hides what they have themselves.
    """
    if not references or not candidates:
        return []
    before, now = references[0].engine, candidates[0].engine
    return [
        f"both sides loaded {found.name} {now[found.name]}, though the environments differ in it ({found}): "
        "is it on PYTHONPATH?"
        for found in differences
        if found.name in before and before[found.name] == now.get(found.name)
    ]


def _usable(scenario: Scenario, references: Sequence[LaunchRecord], candidates: Sequence[LaunchRecord]) -> list[int]:
    both = enumerate(zip(references, candidates, strict=False))
    return [pair for pair, sides in both if all(side.rounds.get(scenario.id) for side in sides)]


def _values(
    scenario: Scenario, references: Sequence[LaunchRecord], candidates: Sequence[LaunchRecord]
) -> dict[str, list[list[float]]]:
    values: dict[str, list[list[float]]] = {}
    for reference, candidate in zip(references, candidates, strict=True):
        before, now = values_of_launch(scenario, reference), values_of_launch(scenario, candidate)
        for metric in before.keys() & now.keys():
            values.setdefault(metric, []).append([before[metric], now[metric]])
    # What some launch lacks, as energy where its counter did not move, is no row of pairs.
    return {metric: pairs for metric, pairs in values.items() if len(pairs) == len(references)}


def values_of_launch(scenario: Scenario, record: LaunchRecord) -> dict[str, float]:
    """The launch's value of each metric: the median over its undisturbed rounds."""
    rounds = [sample.values() for sample in record.rounds[scenario.id]]
    return {metric: median(values[metric] for values in rounds) for metric in set.intersection(*map(set, rounds))}
