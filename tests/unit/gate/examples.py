"""Example sessions and stores: the noise is seeded, the names are real ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tokgate.gate.acceptance import Stamp, entries, merge
from tokgate.gate.history import Accepted, Baselines
from tokgate.session import Accuracy, Row, Session

MACHINE = "amd-epyc-9004-2c-24g"
GROUP = "qwen2.5-0.5b-dummy.onnx.int8"
STAMP = Stamp("2026-11-21T08:00:00+00:00", "first nights", "ci")


def scenario(number: int, group: str = GROUP) -> str:
    return f"{group}.b{number + 1}.p5.o50"


def make_row(launches: Sequence[Sequence[float]], **changes: Any) -> Row:
    values: dict[str, Any] = {
        "scenario": scenario(0),
        "metric": "output_throughput",
        "unit": "tok/s",
        "better": "higher",
        "gated": True,
        "launches": [list(map(float, launch)) for launch in launches],
    }
    return Row(**{**values, **changes})


def make_session(number: int, rows: Iterable[Row], **changes: Any) -> Session:
    values: dict[str, Any] = {
        "schema": 1,
        "id": f"night-{number:03d}",
        "started": f"2026-{number // 28 + 1:02d}-{number % 28 + 1:02d}T03:00:00Z",
        "profile": "nightly",
        "machine": {"id": MACHINE, "kind": "cpu"},
        "software": {"onnxruntime": "1.31.1"},
        "valid": True,
        "reasons": [],
        "rows": list(rows),
    }
    return Session(**{**values, **changes})


def noisy_rows(
    seed: int,
    rows: int = 6,
    launches: int = 3,
    noise: float = 0.005,
    slowdown: Mapping[int, float] | float = 1.0,
    iterations: int = 3,
) -> list[Row]:
    """Rows of throughput and ttft in turn; `slowdown` multiplies times, of all rows or of those numbered."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(rows):
        factor = slowdown.get(number, 1.0) if isinstance(slowdown, Mapping) else slowdown
        night = rng.normal(0, noise)
        seconds = (0.02 + 0.01 * number) * factor
        times = seconds * np.exp(night + rng.normal(0, noise, (launches, iterations)))
        name = scenario(number // 2)
        if number % 2:
            found.append(make_row(times.tolist(), scenario=name, metric="ttft", unit="s", better="lower"))
        else:
            found.append(make_row((1 / times).tolist(), scenario=name))
    return found


def noisy_session(number: int, **changes: Any) -> Session:
    keys = ("rows", "launches", "noise", "slowdown", "iterations")
    noise = {key: changes.pop(key) for key in keys if key in changes}
    return make_session(number, noisy_rows(number, **noise), **changes)


def store(sessions: Iterable[Session], machine_id: str = MACHINE) -> Baselines:
    """What accepting these sessions leaves, without files."""
    scenarios: dict[str, tuple[Accepted, ...]] = {}
    for session in sessions:
        for name in sorted({row.scenario for row in session.rows}):
            new = entries([session], name, STAMP)
            after, _ = merge(scenarios.get(name, ()), new, Path(f"{name}.json"), session.profile, False)
            scenarios[name] = tuple(after)
    return Baselines(machine_id, scenarios)


def five_nights(**changes: Any) -> list[Session]:
    return [noisy_session(number, **changes) for number in range(5)]


def one_row_nights(deltas: Sequence[float], launches: int = 1, **changes: Any) -> list[Session]:
    """Sessions of one throughput row, each exactly exp(-delta) times 100 tok/s."""
    return [
        make_session(number, [make_row([[100 * math.exp(-delta)]] * launches)], **changes)
        for number, delta in enumerate(deltas)
    ]


def accuracy(**changes: Any) -> Accuracy:
    values: dict[str, Any] = {
        "group": GROUP,
        "reference": "fp32",
        "positions": 64,
        "top1_agreement": 0.20,
        "logit_distance": 0.30,
        "max_logit_diff": 0.5,
        "real_weights": False,
    }
    return Accuracy(**{**values, **changes})
