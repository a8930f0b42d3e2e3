"""Nodes and sessions of a fleet, of seeded noise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from tokgate.fleet.cluster import Ended, Node
from tokgate.fleet.task import Answer
from tokgate.session import Row, Session

COMMIT = "0123456789abcdef"
SCENARIOS = [f"tiny-dummy.onnx.int8.b{batch}.p5.o50" for batch in (1, 4, 8)]


def node(name: str = "edge-1") -> Node:
    return Node(f"id-of-{name}", name, 8.0, 0.0)


def session(name: str = "night", log_times: Sequence[float] = (0.0, 0.0, 0.0), **changes: Any) -> Session:
    """A throughput and a TTFT for each scenario, exp(-t) x 100 tok/s and exp(t) x 0.1 s by `log_times`."""
    rows = []
    for scenario, t in zip(SCENARIOS, log_times, strict=True):
        factor = float(np.exp(t))
        rows.append(row(scenario, "output_throughput", "tok/s", "higher", 100.0 / factor))
        rows.append(row(scenario, "ttft", "s", "lower", 0.1 * factor))
    values: dict[str, Any] = {
        "schema": 1, "id": name, "started": "2026-11-21T03:00:00Z", "profile": "nightly",
        "machine": {"id": "edge-8c-16g", "kind": "cpu", "recorded": {"governor": "performance"}},
        "software": {"onnxruntime": "1.31.1"}, "valid": True, "reasons": [], "rows": rows,
    }  # fmt: skip
    return Session(**{**values, **changes})


def row(scenario: str, metric: str, unit: str, better: Any, value: float) -> Row:
    return Row(scenario=scenario, metric=metric, unit=unit, better=better, gated=True, launches=[[value]] * 3)


def of_model(model: str, name: str, log_times: Sequence[float] = (0.0, 0.0, 0.0), **changes: Any) -> Session:
    """As `session`, of the matrix of another model."""
    found = session(name, log_times, **changes)
    rows = [
        msgspec.structs.replace(row, scenario=row.scenario.replace("tiny-dummy", model), group=f"{model}.onnx.int8")
        for row in found.rows
    ]
    return msgspec.structs.replace(found, rows=rows)


def invalid(name: str = "night") -> Session:
    return session(name, valid=False, reasons=["others took 40% of the 2 cores"])


def answer(*sessions: Session, **changes: Any) -> Answer:
    content = tuple(msgspec.json.encode(found) for found in sessions)
    values: dict[str, Any] = {
        "status": 0, "reason": "", "sessions": content, "log": "/srv/pytest.log", "commit": COMMIT, "clean": True,
    }  # fmt: skip
    return Answer(**{**values, **changes})


def ended(name: str, found: Answer | None, reason: str = "") -> Ended:
    return Ended(node(name), found, reason)


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]
