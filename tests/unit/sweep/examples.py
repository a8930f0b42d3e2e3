"""Sweeps for tests: a file, its candidates, and launches whose figures are written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tokgate.launch import LaunchRecord
from tokgate.metrics import Metric, ServingRound
from tokgate.scenario import Group, Scenario
from tokgate.sweep.candidates import Candidate
from tokgate.sweep.constraints import Constraint, hold
from tokgate.sweep.estimates import levels
from tokgate.sweep.ranking import Measured
from tokgate.sweep.store import Made

THROUGHPUT = Metric("output_throughput", "tok/s", "higher")
TPOT = Metric("tpot", "s", "lower")
FILE = """
device = "cpu"
model = "tiny"
engine = "onnx"
precision = "fp32"
row = "1x5->50"
launches = 3
rounds = 1
[[grid]]
threads = [1, 2]
batch = [1, 4]
"""


def written(folder: Path, text: str = FILE, name: str = "tiny-sweep.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def candidate(number: int, group: str = "", batch: int = 1, label: str = "") -> Candidate:
    """Of a group of its own unless another is named."""
    key = Group("tiny", "tiny-dummy", "onnx", "fp32", (group or f"set{number}",))
    return Candidate(number, label or f"n={number}", {"n": number}, Scenario(key, batch, 5, 50))


def record(
    *candidates: Candidate, rounds: int = 1, value: float = 100.0, disturbed: Sequence[int] = ()
) -> LaunchRecord:
    """Of the `disturbed` ones no round counts."""
    good = [each for each in candidates if each.number not in disturbed]
    found = LaunchRecord(rounds={
        each.scenario.id: [ServingRound({"output_throughput": value, "tpot": 1 / value})] for each in good
    })  # fmt: skip
    found.causes = {each.scenario.id: ["others took 70%"] for each in candidates if each.number in disturbed}
    return found


def made(number: int, pass_number: int, *candidates: Candidate, failed: str | None = None, **more: object) -> Made:
    scenarios = tuple(each.scenario.id for each in candidates)
    told = None if failed else record(*candidates, **more)
    return Made(number, pass_number, scenarios, 10.0, told, failed)


def measured(
    throughputs: Mapping[int, Sequence[float]],
    tpots: Mapping[int, Sequence[float]] | None = None,
    constraints: Sequence[Constraint] = (),
) -> list[Measured]:
    """Number -> values by pass, from pass 1; the TPOT is the throughput's inverse unless it is given."""
    inverse = {key: [1 / value for value in values] for key, values in throughputs.items()}
    values = {
        key: {"output_throughput": dict(enumerate(throughputs[key], 1)),
              "tpot": dict(enumerate((tpots or inverse)[key], 1))}
        for key in throughputs
    }  # fmt: skip
    known = {
        metric.name: levels({key: told[metric.name] for key, told in values.items()}, metric.better)
        for metric in (THROUGHPUT, TPOT)
    }
    return [
        Measured(
            candidate(key),
            told,
            {metric: known[metric][key] for metric in told},
            tuple(
                hold(each, known[each.metric.name][key], list(told[each.metric.name].values())) for each in constraints
            ),
        )
        for key, told in values.items()
    ]
