"""Recordings with written-down noise, for tests."""

from __future__ import annotations

from itertools import islice

import numpy as np

from tokgate.prove.recording import SCHEMA, Head, RecordedLaunch, Recording, order
from tokgate.session import Row

GROUP = "tiny-dummy.onnx.int8"
SCENARIOS = [f"{GROUP}.b1.p5.o100", f"{GROUP}.b8.p5.o100"]
TTFT_S = 0.05


def head(**changes: object) -> Head:
    values: dict[str, object] = {
        "machine": {"id": "edge-2c-24g", "kind": "cpu", "stable": {"cpu_name": "Edge"}},
        "software": {"onnxruntime": "1.31.1"},
        "weights": "dummy:1",
        "group": GROUP,
        "scenarios": SCENARIOS,
        "output_len": 100,
        "rounds": 3,
    }
    return Head(**{**values, **changes})


def recorded_launch(inflate: float, number: int, noise: np.random.Generator, sd: float = 0.005) -> RecordedLaunch:
    """A launch whose calls take TTFT_S and 1 s for 100 tokens, plus those of its inflation."""
    rows = []
    for scenario in SCENARIOS:
        factor = np.exp(noise.normal(0, sd) + noise.normal(0, sd, 3))
        ttft = TTFT_S * factor
        total = (TTFT_S + 0.99 + inflate) * factor
        values = {
            "output_throughput": ("tok/s", "higher", True, 100 / total),
            "ttft": ("s", "lower", True, ttft),
            "tpot": ("s", "lower", False, (total - ttft) / 99),
            "e2el": ("s", "lower", False, total),
        }
        rows += [
            Row(
                scenario=scenario, metric=metric, unit=unit, better=better, gated=gated, group=GROUP,
                launches=[found.tolist()],
            )
            for metric, (unit, better, gated, found) in values.items()
        ]  # fmt: skip
    return RecordedLaunch(inflate=inflate, started=f"2026-01-01T{number // 60:02d}:{number % 60:02d}:00Z", rows=rows)


def recording(cycles: int = 12, seed: int = 1, sd: float = 0.005) -> Recording:
    noise = np.random.default_rng(seed)
    inflations = islice(order(), 8 * cycles)
    launches = [recorded_launch(inflate, number, noise, sd) for number, inflate in enumerate(inflations)]
    return Recording(schema=SCHEMA, head=head(), launches=launches)
