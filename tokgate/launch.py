"""One launch as the pytest process sees it: start a worker on a plan, hear its events, keep what they say.

Workers of launches that follow each other may import their engine ahead of their turn, see Turns.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tokgate.child import Child, ChildError, Event
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
    `compiled`: how many things came into the compile caches while the engine was loaded, by cache.
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


class Turns:
    """The workers of launches on one device that follow each other, each in a fresh process that is started early.

    It imports its engine while the one before it loads a model (vLLM: 16 s of each start), and touches the device once
    that has ended. None measures before the one after it has imported: nothing runs beside a round. `launches`: plan,
    interpreter and log of each.
    """

    def __init__(self, launches: Sequence[tuple[LaunchPlan, str, Path | None]]) -> None:
        self._waiting = list(launches)
        self._now: Worker | None = None
        self._next: Worker | None = None

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *exc: object) -> None:
        for worker in (self._now, self._next):
            if worker is not None:
                worker.close()

    def take(self) -> Worker:
        """The worker whose turn it is. Raises ValueError where none is left."""
        if self._next is None and not self._waiting:
            raise ValueError("every launch had its turn")
        self._now, self._next = self._next or self._begin(), None
        self._next = self._begin() if self._waiting else None
        self._now.go_on()
        return self._now

    def await_next(self) -> None:
        """Until the next one has imported its engine, or has failed to or hangs, which its own turn tells."""
        if self._next is not None:
            self._next.await_imported()

    def _begin(self) -> Worker:
        return Worker(*self._waiting.pop(0))


class Worker:
    """A worker process on a plan."""

    def __init__(self, plan: LaunchPlan, python: str, log: Path | None) -> None:
        self._silence_s = plan.silence_s
        self._hung: ChildError | None = None
        module = "tokgate.worker"
        if plan.server is not None:
            plan = replace(plan, server=replace(plan.server, python=python))
            python, module = sys.executable, "tokgate.serving.worker"
        self._folder = tempfile.TemporaryDirectory(prefix="tokgate-")
        path = Path(self._folder.name) / "plan.json"
        plan.write(path)
        self._child = Child([python, "-m", module, str(path)], log=log)

    def go_on(self) -> None:
        self._child.go_on()

    def await_imported(self) -> None:
        try:
            self._child.hear_until("imported", self._silence_s)
        except ChildError as error:
            self._hung = error

    def hear(self, on_event: Callable[[Event], None]) -> None:
        """Until it ends. Raises ChildError if it fails."""
        if self._hung is not None:
            raise self._hung
        self._child.hear(on_event, self._silence_s)

    def close(self) -> None:
        """Ends it, if it has not ended."""
        self._child.close()
        self._folder.cleanup()


def run_launch(
    plan: LaunchPlan,
    python: str,
    on_round: Callable[[str], None],
    log: Path | None = None,
    turns: Turns | None = None,
) -> LaunchRecord:
    """Measures `plan` in a fresh process of the interpreter `python`, or one that serves in that interpreter.

    The load client is this interpreter's whatever is measured: a reference and its candidate have the same one.
    `on_round` hears the scenario id of each round that ended; `log` keeps what the worker prints. With `turns` the
    process is the next of those. Raises MeasurementError if the worker fails.
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
        elif kind == "warm" and turns is not None:
            turns.await_next()
            worker.go_on()
        elif kind == "done":
            record.total_s, record.measured_s = event["total_s"], event["measured_s"]
            record.discarded_s = event.get("discarded_s", 0.0)

    worker = turns.take() if turns is not None else Worker(plan, python, log)
    try:
        worker.hear(hear)
    except ChildError as error:
        kept = f"\n(all of it: {log})" if log else ""
        raise MeasurementError(f"the {plan.engine} worker failed: {error}{_remedy(str(error))}{kept}") from None
    finally:
        worker.close()
    return record


def _remedy(error: str) -> str:
    # Of a killed process that is a guess, see child.py.
    if not re.search(r"(?<!often the kernel, )out of memory", error, re.IGNORECASE):
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
