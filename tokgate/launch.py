"""One launch as the pytest process sees it: start a worker on a plan, hear its events, keep what they say."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tokgate.child import ChildError, Event, run_child
from tokgate.errors import MeasurementError
from tokgate.metrics import Round, Sample, ServingRound
from tokgate.plan import LaunchPlan, PlanRow


@dataclass
class LaunchRecord:
    """What one worker measured. `rounds` holds the undisturbed ones by scenario id.

    `disturbed` counts the disturbed rounds by scenario id, repeated ones included; `causes` says by what, once
    for every disturbed round that could not be repeated; `unequal` why a round did other work than planned, failed
    requests included. `accuracy` is the worker's accuracy event; `peaks` what
    the machine itself reached after the rounds (read_bytes_s, flop_s), empty where that could not be measured.
    `compiled`: how many things the engine compiled anew while it was loaded, by cache.
    """

    rounds: dict[str, list[Sample]] = field(default_factory=dict)
    disturbed: dict[str, int] = field(default_factory=dict)
    causes: dict[str, list[str]] = field(default_factory=dict)
    unequal: dict[str, str] = field(default_factory=dict)
    engine: dict[str, str] = field(default_factory=dict)
    accuracy: dict[str, Any] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    compiled: dict[str, int] = field(default_factory=dict)
    load_s: float = 0.0
    load_peak_bytes: int = 0
    discarded_s: float = 0.0
    total_s: float = 0.0
    measured_s: float = 0.0


def run_launch(plan: LaunchPlan, python: str, on_round: Callable[[str], None], log: Path | None = None) -> LaunchRecord:
    """Measures `plan` in a fresh process of the interpreter `python`, or one that serves in that interpreter.

    The load client is this interpreter's whatever is measured: a reference and its candidate have the same one.
    `on_round` hears the scenario id of each round that ended; `log` keeps what the worker prints. Raises
    MeasurementError if the worker fails.
    """
    record = LaunchRecord()
    planned = {row.scenario: row for row in plan.rows}

    def hear(event: Event) -> None:
        kind = event["event"]
        if kind == "round":
            _keep_round(record, event, planned[event["scenario"]])
            if not event["repeated"]:
                on_round(event["scenario"])
        elif kind == "loaded":
            record.load_s, record.engine = event["load_s"], event["engine"]
            record.load_peak_bytes = event.get("peak_rss_bytes", 0)
            record.compiled = event.get("compiled", {})
        elif kind == "accuracy":
            record.accuracy = {key: value for key, value in event.items() if key != "event"}
        elif kind == "peaks":
            record.peaks = {key: value for key, value in event.items() if key != "event"}
        elif kind == "done":
            record.total_s, record.measured_s = event["total_s"], event["measured_s"]
            record.discarded_s = event.get("discarded_s", 0.0)

    module = "tokgate.worker"
    if plan.server is not None:
        plan = replace(plan, server=replace(plan.server, python=python))
        python, module = sys.executable, "tokgate.serving.worker"
    with tempfile.TemporaryDirectory(prefix="tokgate-") as folder:
        path = Path(folder) / "plan.json"
        plan.write(path)
        try:
            run_child([python, "-m", module, str(path)], hear, silence_s=plan.silence_s, log=log)
        except ChildError as error:
            kept = f"\n(all of it: {log})" if log else ""
            raise MeasurementError(f"the {plan.engine} worker failed: {error}{_remedy(str(error))}{kept}") from None
    return record


def _remedy(error: str) -> str:
    if "out of memory" not in error.lower():
        return ""
    return "; use a smaller batch, a smaller precision or more GPUs, or stop who else holds memory (tokgate doctor)"


def _keep_round(record: LaunchRecord, event: Event, row: PlanRow) -> None:
    scenario = row.scenario
    record.events.append(event)
    if event.get("fault"):
        record.unequal[scenario] = event["fault"]
        return
    if event["disturbed"] is not None:
        record.disturbed[scenario] = record.disturbed.get(scenario, 0) + 1
        if not event["repeated"]:
            record.causes.setdefault(scenario, []).append(event["disturbed"])
        return
    planned = _planned_tokens(event, row)
    if (event["prompt_tokens"], event["output_tokens"]) != planned:
        record.unequal[scenario] = (
            f"the engine was given {event['prompt_tokens']} prompt tokens and made {event['output_tokens']} "
            f"output tokens; planned were {planned[0]} and {planned[1]}"
        )
        return
    record.rounds.setdefault(scenario, []).append(_sample(event, row))


def _planned_tokens(event: Event, row: PlanRow) -> tuple[int, int]:
    """Of prompts and of outputs. How many requests users come to make is theirs; what each holds is planned."""
    if row.traffic is None or row.traffic.users is None:
        return row.prompt_tokens, row.output_tokens
    return event["succeeded"] * row.prompt_len, event["succeeded"] * row.output_len


def _sample(event: Event, row: PlanRow) -> Sample:
    if "figures" in event:
        return ServingRound(event["figures"])
    gpu = event.get("gpu", {})
    return Round(
        output_tokens=event["output_tokens"],
        batch=row.batch,
        prefill_s=event["prefill_s"],
        total_s=event["total_s"],
        cpu_s=event["use"]["own_cpu_s"],
        peak_rss_bytes=event["peak_rss_bytes"],
        tpot_s=event.get("tpot_s"),
        gpu_peak_bytes=gpu.get("memory_bytes"),
        energy_j=gpu.get("energy_j"),
    )


def default_python() -> str:
    """The interpreter that measures unless another is asked for: the one that runs the suite."""
    return sys.executable
