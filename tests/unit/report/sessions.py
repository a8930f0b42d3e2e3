"""Sessions for the tests of reports: one group on a machine of round figures."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from tokgate.serving.server_metrics import ServerUse
from tokgate.session import Row, Session

GROUP = "qwen2.5-7b-instruct-dummy.vllm.fp16.tp2.ngram"
SCENARIO = f"{GROUP}.b200.p1000.o1000"
# Of a server whose page has none of what is looked for.
USE = ServerUse(
    readings=3, kv_cache_use=None, running=None, waiting=None, preemptions=None, prefix_queries=None, prefix_hits=None,
    drafted_tokens=None, accepted_tokens=None, prompt_tokens=None, output_tokens=None, queue_s=None, first_tokens=None,
    ttft_s=None,
)  # fmt: skip


def row(metric: str, value: float, unit: str, scenario: str = SCENARIO) -> Row:
    return Row(scenario=scenario, metric=metric, unit=unit, better="lower", gated=True, launches=[[value]], group=GROUP)


def round_event(total_s: float = 2.0, **more: Any) -> dict[str, Any]:
    return {
        "scenario": SCENARIO, "total_s": total_s, "disturbed": None,
        "gpu": {"utilization": 0.5, "power_w": 400.0},
        "kv_cache": {"peak_blocks": 100, "blocks": 1000, "block_tokens": 16},
        "counters": {
            "num_preemptions": 2.0, "prefix_cache_queries": 400.0, "prefix_cache_hits": 100.0,
            "spec_decode_num_draft_tokens": 50.0, "spec_decode_num_accepted_tokens": 10.0,
        },
        **more,
    }  # fmt: skip


def served(**told: float) -> dict[str, Any]:
    """A round of a server that told no more than this."""
    event = round_event(server=asdict(replace(USE, **told)))
    return {name: value for name, value in event.items() if name not in ("kv_cache", "counters")}


def session(*rounds: dict[str, Any], kind: str = "gpu", rows: list[Row] | None = None, **launch: Any) -> Session:
    """A decode step of 1 ms by memory and 0.1 ms by arithmetic, that took 2 ms."""
    return Session(
        schema=1, id="night", started="2026-11-21T00:00:00+00:00", profile="nightly", valid=True, reasons=[],
        machine={"id": "m", "kind": kind, "measured": {"read_bytes_s": 4e12, "flop_s": 8e14}}, software={},
        rows=rows or [
            row("output_throughput", 16515.0, "tok/s"), row("tpot", 0.002, "s"), row("energy_per_token", 0.0153, "J"),
            row("peak_memory", 3.0 * 2**30, "B"), row("peak_gpu_memory", 132.0 * 2**30, "B"),
            row("cpu_time_per_token", 81e-6, "s"),
        ],
        telemetry={
            "work": {SCENARIO: {"decode_bytes": 4e9, "decode_flop": 8e10}},
            "groups": {GROUP: {"launches": [{"load_s": 21.0, **launch, "rounds": list(rounds or [round_event()])}]}},
        },
    )  # fmt: skip
