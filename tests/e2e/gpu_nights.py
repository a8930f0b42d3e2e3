"""Sessions of a GPU as no machine made them: many rows, and telemetry beside them."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from tokgate.session import Row, Session

MODEL = "qwen2.5-0.5b-dummy"


def night(number: int, groups: int, slower: float = 0.0, **changes: Any) -> Session:
    """20 gated rows a group, 6 launches of 3 rounds, telemetry of a GPU."""
    noise = random.Random(number)
    rows: list[Row] = []
    told: dict[str, Any] = {}
    for place in range(groups):
        group = f"{MODEL}.vllm.{('fp16', 'int8')[place % 2]}" + f".v{place // 2}" * (place > 1)
        rounds = []
        for batch in (1, 2, 4, 8, 16, 32, 64, 128, 200, 256):
            scenario = f"{group}.b{batch}.p128.o64"
            factor = 1 + slower * (batch == 8 and place == 0)
            for metric, value, better in (("output_throughput", 900.0 * batch**0.8 / factor, "higher"),
                                          ("ttft", 0.01 * batch**0.6 * factor, "lower")):  # fmt: skip
                rows.append(Row(
                    scenario=scenario, metric=metric, unit="s" if metric == "ttft" else "tok/s", gated=True,
                    better="higher" if better == "higher" else "lower", group=group,
                    launches=[[value * (1 + noise.gauss(0, 0.004)) for _ in range(3)] for _ in range(6)],
                ))  # fmt: skip
            rounds.append({
                "scenario": scenario, "total_s": 2.0, "disturbed": None,
                "gpu": {"utilization": 0.9, "power_w": 400 + batch, "sm_clock_mhz": 1900},
                "use": {"wall_s": 2.0, "own_cpu_s": 1.0, "foreign_s": 0.0},
            })  # fmt: skip
        told[group] = {"launches": [{"rounds": rounds * 3}] * 6}
    work = {row.scenario: {"prefill_bytes": 1e9, "prefill_flop": 1e12} for row in rows}
    session = Session(
        schema=1, id=f"night-{number:02d}", started=f"2026-10-{number + 1:02d}T03:00:00+00:00", profile="nightly",
        machine={"id": "nvidia-t4", "kind": "gpu", "measured": {"read_bytes_s": 3e11, "flop_s": 6e13}},
        software={"vllm": f"0.2{number // 10}.0"}, valid=True, reasons=[], rows=rows,
        telemetry={"work": work, "groups": told},
    )  # fmt: skip
    return msgspec.structs.replace(session, **changes)
