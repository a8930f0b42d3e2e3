"""From launches to the rows of a session, and to the reasons why a scenario cannot be believed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tokgate.launch import LaunchRecord
from tokgate.metrics import metrics_of
from tokgate.scenario import SERVE, Profile, Scenario
from tokgate.session import Row


def rows_of(scenario: Scenario, records: Sequence[LaunchRecord]) -> list[Row]:
    """The scenario's rows, one a metric; launches without an undisturbed round are left out (see faults_of).

    A round need not have every metric: energy is left out where its counter did not move.
    """
    launches = [
        [sample.values() for sample in record.rounds[scenario.id]]
        for record in records
        if record.rounds.get(scenario.id)
    ]
    return [
        Row(
            scenario=scenario.id,
            metric=metric.name,
            unit=metric.unit,
            better=metric.better,
            gated=metric.name in scenario.gated,
            group=scenario.group.id,
            launches=measured,
        )
        for metric in metrics_of(SERVE if scenario.group.serves else scenario.group.engine)
        if (measured := _measured(metric.name, launches))
    ]


def _measured(metric: str, launches: Sequence[Sequence[Mapping[str, float]]]) -> list[list[float]]:
    """The metric's values by launch, of the rounds that have it."""
    values = [[sample[metric] for sample in launch if metric in sample] for launch in launches]
    return [launch for launch in values if launch]


def faults_of(scenario: Scenario, records: Sequence[LaunchRecord], profile: Profile) -> list[str]:
    """Why the scenario's samples cannot be believed, each with what to do; none if they can."""
    faults = [*unequal_work(scenario, records), *unmeasured(scenario, records)]
    planned = profile.launches * profile.rounds
    measured = sum(len(record.rounds.get(scenario.id, [])) for record in records)
    if measured < planned:
        faults.append(f"{measured} of {planned} planned rounds are usable{because_of(scenario, records)}")
    return faults


def unequal_work(scenario: Scenario, records: Sequence[LaunchRecord], whose: str = "") -> list[str]:
    """At most one fault: the first launch that did other work than planned."""
    return [f"{whose}{record.unequal[scenario.id]}" for record in records if scenario.id in record.unequal][:1]


def unmeasured(scenario: Scenario, records: Sequence[LaunchRecord], whose: str = "") -> list[str]:
    """A fault for each gated metric that some round does not have: without a row nothing would judge it."""
    rounds = [sample.values() for record in records for sample in record.rounds.get(scenario.id, [])]
    lacking = {metric: sum(metric not in values for values in rounds) for metric in scenario.gated}
    return [
        f"{whose}{count} of {len(rounds)} rounds have no {metric}, which is gated: what is not measured cannot pass; "
        "see the worker's log, or leave it out of the group's `gated`"
        for metric, count in lacking.items()
        if count
    ]


def because_of(scenario: Scenario, records: Sequence[LaunchRecord], most: int = 2) -> str:
    """What disturbed the scenario's rounds most often, as the end of a sentence; empty where nothing did."""
    causes = Counter(cause for record in records for cause in record.causes.get(scenario.id, []))
    return "".join(f"; {cause}" for cause, _ in causes.most_common(most))
