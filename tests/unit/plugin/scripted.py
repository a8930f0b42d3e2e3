"""A pytest plugin for tests of the plugin: launches whose figures are written down, not measured.

TOKGATE_SCRIPT holds JSON: `slow` (factor on every duration), `disturbed` (scenario ids whose rounds are all
disturbed), `failing` (scenario ids whose requests fail), `lacks` (metrics that a server's rounds do not have),
`wrong` (largest logit difference), `interrupt_at` (launch number that gets a Ctrl-C), `crash`, `fails` (group id ->
the error that its launches end with), `unexpected` (an error nobody foresaw, in the second group), `no_room` (the
memory guard says no), `device` (name of the lock, so that a real run next door is no matter), `engine` (its version),
`noise` (standard deviation of launches), `wobble` (by how much every second launch is slower). `of` holds the same
for single interpreters, by their path: {PYTHON: {"slow": 1.3}}. `gpu`: the GPUs of this machine: the first one's
`uuid`, how many there are (`count`, 1 unless it says), what it is where it is no H200 (`stable`, see machine/gpu.py),
or why there is none (`absent`). `trace`: a file that stands for every row's trace; without one the trace fails.
`costs`: a setting of the engine -> a factor on every duration of launches that are told it. `missing`: engine -> what
is said of its not being installed. `in_the_way`: where a folder appears while the first launch is made. `ours`: by how
many times
what tokgate's client finds of a metric is what vllm bench serve does, in one round after another: {"mean_ttft": [0.9,
1.1]}.
"""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tokgate.launcher as launcher
import tokgate.opening as opening
import tokgate.runner as runner
from tokgate.errors import MeasurementError, NoDeviceError, TooFewGpusError
from tokgate.launch import LaunchRecord, Turns
from tokgate.machine.gpu import Gpu
from tokgate.machine.lock import Claim
from tokgate.metrics import Round, ServingRound
from tokgate.plan import LaunchPlan, PlanRow
from tokgate.tracing import GroupTrace, RowTrace

SCRIPT = json.loads(os.environ["TOKGATE_SCRIPT"])
launched = 0


def run_launch(
    plan: LaunchPlan, python: str, on_round: Callable[[str], None], log: Path | None = None, turns: Turns | None = None
) -> LaunchRecord:
    global launched
    if SCRIPT.get("interrupt_at") == launched:
        raise KeyboardInterrupt
    if SCRIPT.get("unexpected") and launched == 3:
        raise RuntimeError("the disk is gone")
    script = {**SCRIPT, **SCRIPT.get("of", {}).get(python, {})}
    if script.get("crash"):
        raise MeasurementError("the onnx worker failed: it crashed")
    for group, error in script.get("fails", {}).items():
        if plan.rows[0].scenario.startswith(f"{group}."):
            raise MeasurementError(error)
    launched += 1
    if "in_the_way" in script:
        Path(script["in_the_way"]).mkdir(exist_ok=True)
    record = LaunchRecord(engine={"onnxruntime": script.get("engine", "0")}, total_s=2.0, measured_s=1.5)
    record.accuracy = {
        "positions": 48, "top1_agreement": 1.0, "logit_distance": 1e-6, "max_logit_diff": script.get("wrong", 1e-6),
    }  # fmt: skip
    luck = random.Random(f"{python} {plan.order_seed}").gauss(0, script.get("noise", 0.002))
    luck += script.get("wobble", 0.0) * (launched % 2)
    on_gpu: Any = {"gpu_peak_bytes": 2**37, "energy_j": 400.0} if plan.device == "gpu" else {}
    for _, row in plan.order():
        on_round(row.scenario)
        if row.scenario in script.get("disturbed", []):
            record.causes.setdefault(row.scenario, []).append("others took 70% of the 2 cores (gcc pid 7: 3 s)")
            continue
        if row.scenario in script.get("failing", []):
            record.unequal[row.scenario] = "3 of 8 requests failed: HTTP 5xx (3: 503); see the server's log"
            continue
        noise = 1 + 0.002 * (plan.order_seed % 7 - 3) + luck
        told = math.prod(cost for name, cost in script.get("costs", {}).items() if name in plan.settings)
        total_s = 2.0 * noise * script.get("slow", 1.0) * told
        if row.traffic is not None:
            counts = {"requests": 8, "failed": 0, "unfinished": 0}
            record.events.append({"scenario": row.scenario, "disturbed": None, **counts})
            figures = served_figures(row, total_s, len(record.rounds.get(row.scenario, [])))
            kept = {name: value for name, value in figures.items() if name not in script.get("lacks", [])}
            record.rounds.setdefault(row.scenario, []).append(ServingRound(kept))
            continue
        record.rounds.setdefault(row.scenario, []).append(
            Round(row.output_tokens, row.batch, 0.1 * noise, total_s, 3.0, 2**30, **on_gpu)
        )
    return record


def served_figures(row: PlanRow, total_s: float, number: int) -> dict[str, float]:
    """Of eight requests in turn by each client."""
    figures = {
        "output_throughput": 8 * row.output_len / total_s, "mean_tpot": 0.01 * total_s, "mean_ttft": 0.1 * total_s,
        "request_throughput": 8 / total_s, "ttft": 0.1 * total_s, "tpot": 0.01 * total_s, "e2el": total_s,
        "p90_e2el": total_s, "peak_memory": 2.0**30,
    }  # fmt: skip
    for metric, ratios in SCRIPT.get("ours", {}).items():
        value = figures.setdefault(metric, 0.02 * total_s)
        figures[f"vllm_bench_{metric}"] = value / ratios[number % len(ratios)]
    return figures


def run_trace(plan: LaunchPlan, python: str, folder: Path, on_row: Callable[[str], None]) -> GroupTrace:
    if "trace" not in SCRIPT:
        raise MeasurementError("the trace failed: no profiler")
    return GroupTrace(tuple(RowTrace(row.scenario, 0.5, (Path(SCRIPT["trace"]),)) for row in plan.rows), "nsys profile")


def ensure(*args: Any, **kwargs: Any) -> SimpleNamespace:
    return SimpleNamespace(path=Path("/nowhere"), meta={})


def does_not_fit(*args: Any, **kwargs: Any) -> str | None:
    return "measuring needs 29.0 GB: 29.0 GB weights; available: 16.0 GB" if SCRIPT.get("no_room") else None


def used_gpus(count: int, environ: Any) -> list[Gpu]:
    if SCRIPT["gpu"]["absent"]:
        raise NoDeviceError(SCRIPT["gpu"]["absent"])
    here = SCRIPT["gpu"].get("count", 1)
    if here < count:
        raise TooFewGpusError(f"{count} GPUs are asked for and {here} are visible", f"nvidia-h200-x{count}")
    stable = {"gpu_count": count, "gpu_name": "NVIDIA H200", "gpu_memory_mib": 143771, "compute_capability": "9.0"}
    return [Gpu(SCRIPT["gpu"]["uuid"], None, {**stable, **SCRIPT["gpu"].get("stable", {})}, {})]


def gpu_fingerprint(count: int, environ: Any) -> dict[str, Any]:
    stable = dict(used_gpus(count, environ)[0].stable)
    return {
        "id": "nvidia-h200" if count == 1 else f"nvidia-h200-x{count}",
        "kind": "gpu",
        "stable": stable,
        "recorded": {},
    }


opening.used_gpus = used_gpus
opening.gpu_fingerprint = gpu_fingerprint
opening.gpu_claims = lambda uuid, whole: [Claim(uuid)]
opening.cpu_device_name = lambda: str(SCRIPT["device"])
launcher.run_launch = run_launch
launcher.run_trace = run_trace
runner.ensure = ensure
runner.missing_engine = lambda engine, device, python, called: SCRIPT.get("missing", {}).get(engine)
launcher.ensure = ensure
runner.does_not_fit = does_not_fit
