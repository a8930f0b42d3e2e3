"""Nights for the tests of the page: two precisions, three batches, every metric, telemetry; and their store."""

from __future__ import annotations

import datetime
import math
import random
from pathlib import Path
from typing import Any

import msgspec

from tokgate import baselines as store
from tokgate.baselines import Shelf
from tokgate.gate.judge import judge_session
from tokgate.report.html.data import SessionFacts, session_facts
from tokgate.session import Row, Session

MODEL = "qwen2.5-0.5b-dummy"
BATCHES = (1, 4, 8)
MACHINE = {
    "id": "edge-2c-24g", "kind": "cpu", "stable": {"cpu_name": "EPYC", "usable_cores": 2},
    "recorded": {"kernel": "6.18"}, "measured": {"read_bytes_s": 3e10, "flop_s": 1e11},
}  # fmt: skip


def night(
    name: str,
    slower: float = 0.0,
    only: str = "int8.b8",
    day: int = 1,
    noise: float = 0.005,
    engine: str = "onnx",
    precisions: tuple[str, ...] = ("fp32", "int8"),
    **changes: Any,
) -> Session:
    """Scenarios whose id holds `only` are slower by that share."""
    chance = random.Random(name)
    rows: list[Row] = []
    rounds: dict[str, list[dict[str, Any]]] = {}
    for precision in precisions:
        for batch in BATCHES:
            group = f"{MODEL}.{engine}.{precision}"
            scenario = f"{group}.b{batch}.p5.o50"
            factor = 1 + slower if only in scenario else 1.0
            rows += _rows(group, scenario, batch, factor, noise, chance)
            rounds.setdefault(group, []).append(round_event(scenario))
    session = Session(
        schema=1, id=name, started=f"2026-11-{day:02d}T03:00:00+00:00", profile="nightly", machine=MACHINE,
        software={"onnxruntime": "1.31.1"}, valid=True, reasons=[], rows=rows,
        provenance={"commit": "c0ffee", "clean": True, "command": "pytest -m cpu"},
        telemetry={
            "work": {row.scenario: {"prefill_bytes": 1e9, "prefill_flop": 5e9, "decode_bytes": 1e9,
                                    "decode_flop": 1e9} for row in rows},
            "groups": {group: {"launches": [{"rounds": told}, {"rounds": told}]} for group, told in rounds.items()},
        },
    )  # fmt: skip
    return msgspec.structs.replace(session, **changes)


def _rows(group: str, scenario: str, batch: int, factor: float, noise: float, chance: random.Random) -> list[Row]:
    speeds = {"output_throughput": 20.0 * batch / factor, "ttft": 0.05 * batch * factor, "tpot": 0.05 * factor,
              "e2el": 2.5 * factor, "p99_ttft": 0.09 * batch * factor, "peak_memory": 2.0**30}  # fmt: skip
    units = {"output_throughput": "tok/s", "peak_memory": "B"}
    return [
        Row(
            scenario=scenario, metric=metric, unit=units.get(metric, "s"), group=group,
            better="higher" if metric == "output_throughput" else "lower",
            gated=metric in ("output_throughput", "ttft"),
            launches=[[value * math.exp(chance.gauss(0, noise)) for _ in range(2)] for _ in range(3)],
        )
        for metric, value in speeds.items()
    ]  # fmt: skip


def round_event(scenario: str, **more: Any) -> dict[str, Any]:
    return {
        "scenario": scenario, "total_s": 2.0, "disturbed": None,
        "use": {"wall_s": 2.0, "own_cpu_s": 3.0, "foreign_s": 0.1}, **more,
    }  # fmt: skip


def nights(count: int = 5) -> list[Session]:
    return [night(f"night-{number}", day=number + 1) for number in range(count)]


def accepted(sessions: list[Session], root: Path) -> Path:
    """A store in which the sessions are accepted."""
    if sessions:
        now = datetime.datetime(2026, 11, 20, tzinfo=datetime.timezone.utc)
        store.accept(sessions, root, reason="the first nights", now=now)
    return root


def judged(session: Session, root: Path) -> SessionFacts:
    shelf = Shelf(root)
    held = shelf.baselines(session.machine_id)
    verdict = judge_session(session, held, shelf.limits(session.machine_id))
    return session_facts(session, verdict, held, f"{session.id}.json")
