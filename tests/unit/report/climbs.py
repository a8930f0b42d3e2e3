"""Sessions for the tests of the ladder: rows of some steps of the CPU's, with launches as they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tokgate.report.ladder_file import Ladder, Step
from tokgate.session import Accuracy, Row, Session

MODEL = "small-dummy"
PLAIN, GRAPH, INT4 = "transformers.fp32.b1.p5.o50", "onnx.fp32.b1.p5.o50", "genai.int4.b1.p5.o50"
LADDER = Ladder(
    "Up",
    (Step("plain", PLAIN, "where users start", "measure plain"), Step("graph", GRAPH, "a graph", "measure graph"),
     Step("four bits", INT4, "rounded", "measure four")),
)  # fmt: skip
_UNITS = {"output_throughput": "tok/s", "peak_memory": "B", "peak_gpu_memory": "B"}


def row(scenario: str, metric: str, launches: Sequence[float]) -> Row:
    return Row(
        scenario=scenario, metric=metric, unit=_UNITS.get(metric, "s"), gated=True, group=scenario.rsplit(".", 3)[0],
        better="higher" if metric == "output_throughput" else "lower", launches=[[value] for value in launches],
    )  # fmt: skip


def climbed(name: str, speeds: Mapping[str, Sequence[float]], model: str = MODEL, **changes: Any) -> Session:
    """`speeds`: tokens a second by launch, by a step's row; an answer of 50 tokens takes as long as they do."""
    rows = [
        made
        for step, values in speeds.items()
        for made in (
            row(f"{model}.{step}", "output_throughput", values),
            row(f"{model}.{step}", "e2el", [50 / value for value in values]),
            row(f"{model}.{step}", "peak_memory", [1.5 * 2**30] * len(values)),
        )
    ]
    groups = dict.fromkeys(found.group or "" for found in rows)
    accuracy = [
        Accuracy(group=group, reference="transformers fp32", positions=48, top1_agreement=0.9, logit_distance=0.001,
                 max_logit_diff=0.001, real_weights=False)
        for group in groups
    ]  # fmt: skip
    session = Session(
        schema=1, id=name, started="2026-11-01T03:00:00+00:00", profile="quick", software={}, valid=True, reasons=[],
        machine={"id": "edge-2c", "kind": "cpu", "stable": {"usable_cores": 2}}, rows=rows, accuracy=accuracy,
    )  # fmt: skip
    return msgspec.structs.replace(session, **changes)
