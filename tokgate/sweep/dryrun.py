"""`tokgate sweep --dry-run`: what would be measured, and about how long that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tokgate.report.units import duration
from tokgate.report.words import count
from tokgate.sweep.candidates import Candidate, Opened
from tokgate.sweep.file import Sweep
from tokgate.sweep.schedule import left, time_left_s
from tokgate.sweep.store import Made

# Before anything was measured: guesses of the order of magnitude, and said to be.
_START_S = {"onnx": 10.0, "transformers": 15.0, "vllm": 60.0, "serve": 60.0}
_STEP_S = {"cpu": 0.06, "gpu": 0.01}


def print_plan(sweep: Sweep, opened: Opened, refusals: Mapping[int, str], made: Sequence[Made]) -> None:
    """A line for each setting, then the count of launches and the time. `refusals`: what cannot be measured here."""
    spec = sweep.spec
    for candidate in opened.candidates:
        refused = refusals.get(candidate.number)
        print(f"{candidate}: {candidate.scenario.id}" + (f": skipped, {refused}" if refused else ""))
    found = [each for each in opened.candidates if each.number not in refusals]
    todo = left(found, made, spec.launches, spec.rounds)
    groups = {each.scenario.id: each.scenario.group.id for each in found}
    launches = sum(todo.values())
    seconds = time_left_s(todo, made, groups)
    if seconds is None:
        told = f"roughly {duration(_guess_s(sweep, found, todo))}, a guess until the first launch has ended"
    else:
        told = f"about {duration(seconds)}, by the {len(made)} launches that were made"
    print(
        f"{len(opened.candidates)} settings, {launches} launch{'' if launches == 1 else 'es'} of "
        f"{count(spec.rounds, 'round')} to make: {told}; building models comes on top"
    )


def _guess_s(sweep: Sweep, found: Sequence[Candidate], todo: Mapping[str, int]) -> float:
    return sum(launches * _launch_s(sweep, found, group) for group, launches in todo.items())


def _launch_s(sweep: Sweep, found: Sequence[Candidate], group: str) -> float:
    rows = [each for each in found if each.scenario.group.id == group]
    spec = sweep.spec
    rounds_s = sum(spec.rounds * _steps(row) * _STEP_S[spec.device] for row in rows)
    return _START_S[spec.engine] + rounds_s


def _steps(candidate: Candidate) -> float:
    """Decode steps of a round: of a server so many waves of requests, one after another."""
    row = candidate.scenario
    waves = 1.0 if row.traffic is None else row.traffic.requests / row.batch
    return waves * row.output_len
