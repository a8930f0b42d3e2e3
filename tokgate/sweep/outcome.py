"""From the launches of a sweep to its outcome: what each setting came to, what can be believed, and the ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tokgate.gate.accuracy import absolute_faults
from tokgate.metrics import metrics_of
from tokgate.pairing import values_of_launch
from tokgate.runner import worst_accuracy
from tokgate.samples import because_of
from tokgate.sweep.candidates import Candidate, Opened
from tokgate.sweep.constraints import hold
from tokgate.sweep.estimates import levels
from tokgate.sweep.file import Sweep
from tokgate.sweep.pareto import Front, front
from tokgate.sweep.ranking import Lost, Measured, Ranking, Status, rank
from tokgate.sweep.schedule import Standing, standings
from tokgate.sweep.store import Made

# Values of every launch and round of a setting: metric -> pass -> rounds.
_Rounds = Mapping[str, Mapping[int, Sequence[float]]]


@dataclass(frozen=True)
class Outcome:
    """`front`: of throughput and TPOT, over all settings whose figures can be believed."""

    sweep: Sweep
    ranking: Ranking
    front: Front
    launches: int
    measured_s: float

    @property
    def measured(self) -> list[Measured]:
        return [entry.measured for entry in self.ranking.entries]

    @property
    def exit_status(self) -> int:
        """0: there is a best one; 1: all break a constraint; 4: nothing could be believed."""
        if self.ranking.best is not None:
            return 0
        return 1 if self.ranking.entries else 4


def outcome(
    sweep: Sweep, opened: Opened, made: Sequence[Made], refused: Mapping[int, str], unbuilt: Mapping[int, str]
) -> Outcome:
    """Of all that was made. `refused`: what this machine cannot measure; `unbuilt`: whose model could not be built."""
    found = standings(opened.candidates, made, sweep.spec.rounds)
    measured: list[Measured] = []
    lost: list[Lost] = []
    rounds: dict[int, _Rounds] = {}
    for candidate in opened.candidates:
        standing = found[candidate.number]
        number = candidate.number
        gone = _lost(candidate, standing, refused.get(number), unbuilt.get(number), sweep, opened)
        if gone is not None:
            lost.append(replace(gone, failures=standing.failures))
            continue
        each = _measured(candidate, standing, opened)
        if sweep.objective.name not in each.values:
            why = f"{sweep.objective.name} was not measured in every launch"
            lost.append(Lost(candidate, Status.INVALID, why, standing.failures))
            continue
        measured.append(each)
        rounds[candidate.number] = _rounds(candidate, standing)
    measured = _held(sweep, measured, rounds)
    records = {id(made_.record): made_.record for made_ in made if made_.record is not None}
    return Outcome(
        sweep,
        rank(measured, sweep.objective.name, lost),
        front(measured),
        len(made),
        sum(record.measured_s for record in records.values()),
    )


def _lost(
    candidate: Candidate, standing: Standing, refusal: str | None, unbuilt: str | None, sweep: Sweep, opened: Opened
) -> Lost | None:
    """Why it cannot be ranked; None if it can."""
    if refusal is not None and not standing.records:
        return Lost(candidate, Status.SKIPPED, refusal)
    if standing.failed:
        return Lost(candidate, Status.FAILED, standing.ruled_out or "")
    if standing.ruled_out:
        return Lost(candidate, Status.INVALID, standing.ruled_out)
    group = candidate.scenario.group
    records = list(standing.records.values())
    accuracy = worst_accuracy(group, records, opened.sources[group.shape])
    faults = absolute_faults(accuracy, group.precision) if accuracy is not None else []
    if faults:
        return Lost(candidate, Status.INVALID, "; ".join(faults))
    wanted = sweep.spec.launches
    if len(standing.usable) < wanted and unbuilt is not None:
        return Lost(candidate, Status.FAILED, unbuilt)
    if len(standing.usable) < wanted:
        because = because_of(candidate.scenario, records, most=1)
        return Lost(candidate, Status.INVALID, f"{len(standing.usable)} of {wanted} launches are usable{because}")
    return None


def _measured(candidate: Candidate, standing: Standing, opened: Opened) -> Measured:
    by_pass = {number: values_of_launch(candidate.scenario, standing.records[number]) for number in standing.usable}
    # A server's rounds hold figures that are no metric of a row.
    known = {metric.name for metric in metrics_of(candidate.scenario.group.engine)}
    metrics = known.intersection(*by_pass.values())
    values = {metric: {number: told[metric] for number, told in by_pass.items()} for metric in sorted(metrics)}
    return Measured(candidate, values, {}, notes=_notes(candidate, standing, opened), failures=standing.failures)


def _notes(candidate: Candidate, standing: Standing, opened: Opened) -> tuple[str, ...]:
    """How near its outputs are to the reference: a precision is not chosen by its speed alone."""
    group = candidate.scenario.group
    found = worst_accuracy(group, list(standing.records.values()), opened.sources[group.shape])
    if found is None:
        return ("outputs not compared: the engine filled a skeleton with weights of its own",)
    weights = "" if found.real_weights else " (dummy weights exaggerate)"
    return (f"outputs against {found.reference}: top-1 agrees in {found.top1_agreement:.0%} of {found.positions}, "
            f"logits {found.logit_distance:.1e} apart{weights}",)  # fmt: skip


def _rounds(candidate: Candidate, standing: Standing) -> _Rounds:
    found: dict[str, dict[int, list[float]]] = {}
    for number in standing.usable:
        for sample in standing.records[number].rounds[candidate.scenario.id]:
            for metric, value in sample.values().items():
                found.setdefault(metric, {}).setdefault(number, []).append(value)
    return found


def _held(sweep: Sweep, measured: Sequence[Measured], rounds: Mapping[int, _Rounds]) -> list[Measured]:
    """With each metric's level, and the constraints held against it."""
    if not measured:
        return []
    better = {metric.name: metric.better for metric in metrics_of(sweep.spec.engine)}
    by_metric = {
        metric: levels(
            {each.candidate.number: each.values[metric] for each in measured if metric in each.values}, better[metric]
        )
        for metric in {metric for each in measured for metric in each.values}
    }
    found = []
    for each in measured:
        number = each.candidate.number
        known = {metric: by_metric[metric][number] for metric in each.values}
        held = tuple(
            hold(constraint, known.get(constraint.metric.name), _flat(rounds[number], constraint.metric.name))
            for constraint in sweep.constraints
        )
        found.append(replace(each, levels=known, held=held))
    return found


def _flat(rounds: _Rounds, metric: str) -> list[float]:
    return [value for values in rounds.get(metric, {}).values() for value in values]
