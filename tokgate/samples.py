"""From launches to the rows of a session, and to the reasons why a scenario cannot be believed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tokgate.launch import LaunchRecord
from tokgate.metrics import Metric, metrics_of
from tokgate.scenario import SERVE, Group, Profile, Scenario
from tokgate.session import Row

# Metric -> why some rounds may lack it: see Health.itl_doubt and serving/crosscheck.py.
_WITHHELD = {
    "p99_itl": "in the others the client was late itself",
    "ttft_overhead": "in the others the server did not tell its own TTFT of the client's requests",
    "vllm_bench_ttft_overhead": "in the others the server did not tell its own TTFT of that client's requests",
}
_Launches = Sequence[Sequence[Mapping[str, float]]]


def rows_of(scenario: Scenario, records: Sequence[LaunchRecord]) -> list[Row]:
    """The scenario's rows, one a metric; launches without an undisturbed round are left out (see faults_of).

    A round need not have every metric: energy is left out where its counter did not move. Of a metric that is better
    higher it was 0 there, which no session holds: the other rounds alone would say more than was measured, so there is
    no row (see left_out).
    """
    launches = _launches(scenario.id, records)
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
        for metric in _metrics(scenario.group)
        if not _lacking(metric, launches) and (measured := _measured(metric.name, launches))
    ]


def left_out(group: Group, records: Sequence[LaunchRecord]) -> list[str]:
    """A note for each metric that has no row, though some rounds have it: it was 0 in the others; and for one whose row
    is of some rounds alone, since the client could not vouch for the others'.
    """
    found = {name: _launches(name, records) for name in dict.fromkeys(name for each in records for name in each.rounds)}
    return [
        f"{scenario}: {metric.name} was 0 in {count} of {sum(map(len, launches))} rounds, so it has no row: the others "
        "alone would say more than was measured"
        for scenario, launches in found.items()
        for metric in _metrics(group)
        if (count := _lacking(metric, launches))
    ] + [
        f"{scenario}: {metric} is of {count} of {sum(map(len, launches))} rounds alone: {why}"
        for scenario, launches in found.items()
        for metric, why in _WITHHELD.items()
        if 0 < (count := sum(map(len, _measured(metric, launches)))) < sum(map(len, launches))
    ]


def _metrics(group: Group) -> tuple[Metric, ...]:
    return metrics_of(SERVE if group.serves else group.engine)


def _launches(scenario: str, records: Sequence[LaunchRecord]) -> _Launches:
    """Of the launches with an undisturbed round the values of each such round."""
    return [
        [sample.values() for sample in record.rounds[scenario]] for record in records if record.rounds.get(scenario)
    ]


def _lacking(metric: Metric, launches: _Launches) -> int:
    """In how many rounds a metric that is better higher was 0; 0 where no round has it."""
    has = [metric.name in sample for launch in launches for sample in launch]
    return has.count(False) if metric.better == "higher" and any(has) else 0


def _measured(metric: str, launches: _Launches) -> list[list[float]]:
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
