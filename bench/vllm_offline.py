"""`python -m bench.vllm_offline`: a measured round of vLLM against a bare loop of `LLM.generate`, in turns.

The suite must not slow what it measures. Both sides hold the same model with the same settings on the same device at
once, and a turn of one is followed by the same turn of the other; which begins changes from turn to turn. There are
several launches of both, and the interval is over them: a launch's figure is the median of its turns.

On a GPU the model is the 7B one, which the GPU holds up. Where a host's cores do, as they do with the 0.5B, and are
shared with others, turns of one and the same loop differ by half, and 1% cannot be seen.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.result import Result
from bench.serving import VLLM_NAMED, VLLM_PYTHON
from tokgate.child import Child, ChildError, Event
from tokgate.errors import MeasurementError, TokgateError
from tokgate.machine.cpumodel import isa
from tokgate.machine.cpus import usable_cores
from tokgate.machine.gpu import used_gpus
from tokgate.machine.lock import Claim, cpu_device_name, device_locks, gpu_claims
from tokgate.models.artifacts import ensure
from tokgate.models.cache import default_cache_root
from tokgate.models.source import resolve
from tokgate.plan import PLAN_SCHEMA, Device, LaunchPlan, PlanRow

MODELS: dict[Device, str] = {"gpu": "qwen2.5-7b", "cpu": "tiny"}
# (batch, prompt tokens, output tokens): where what surrounds a step weighs most, and where vLLM itself works hardest.
SHAPES: dict[Device, tuple[tuple[int, int, int], ...]] = {
    "gpu": ((1, 5, 50), (8, 5, 50), (100, 128, 128)),
    "cpu": ((1, 5, 50), (8, 5, 50)),
}
# Two of them share the device.
SETTINGS: dict[Device, dict[str, Any]] = {
    "gpu": {"dtype": "float16", "gpu_memory_utilization": 0.4, "load_format": "dummy"},
    "cpu": {"dtype": "bfloat16", "enforce_eager": True, "max_model_len": 2048},
}
GOAL = "within 1% of 1"


# A side that is silent for longer hangs: while it loads, with everything compiled anew, and in a turn.
LOAD_S = 600.0
TURN_S = 300.0
LOCK_S = 3600.0
# Before each turn, of either side: a device that worked a moment ago is faster than one that was idle.
PAUSE_S = 0.2


class Side:
    """`suite` or `bare`, see vllm_side.py. It imports vLLM at once, and loads when it is told to.

    Between its turns it is stopped: vLLM's processes spin for seconds after their work, and of few cores would take
    half from the other side.
    """

    def __init__(self, side: str, python: str, plan: Path) -> None:
        self._name = side
        argv = [python, "-m", "bench.vllm_side", str(plan), side]
        self._child = Child(argv, {"VLLM_CPU_KVCACHE_SPACE": "1", **os.environ})

    def load(self, patience_s: float = LOAD_S) -> None:
        self._answer("warm", patience_s)

    def turn(self, patience_s: float = TURN_S) -> Event:
        """A generate call's event, with its total_s and output_tokens. Raises MeasurementError where there is none."""
        time.sleep(PAUSE_S)
        return self._answer("round", patience_s)

    def close(self) -> None:
        self._child.close()

    def _answer(self, kind: str, patience_s: float) -> Event:
        self._child.resume()
        self._child.go_on()
        try:
            event = self._child.hear_until(kind, patience_s)
            if event is None:
                self._child.hear(lambda event: None, patience_s)  # which raises why it ended
        except ChildError as error:
            raise MeasurementError(f"the side {self._name!r}, asked for its {kind!r}: {error}") from None
        if event is None:
            raise MeasurementError(f"the side {self._name!r} was done before its {kind!r}; both have the same plan")
        self._child.pause()
        return event


def launch(plan: LaunchPlan, python: str, suite_first: bool) -> dict[str, list[float]]:
    """Ratios suite/bare of the seconds a turn took, by row; the first round is left out, which still warms up."""
    ratios: dict[str, list[float]] = {row.scenario: [] for row in plan.rows}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder) / "plan.json"
        plan.write(path)
        suite = stack.enter_context(contextlib.closing(Side("suite", python, path)))
        bare = stack.enter_context(contextlib.closing(Side("bare", python, path)))
        # The suite waits until it has the device to itself, so it loads first.
        suite.load()
        bare.load()
        for turn, (number, row) in enumerate(plan.order()):
            if (turn % 2 == 0) == suite_first:
                ours, theirs = suite.turn(), bare.turn()
            else:
                theirs, ours = bare.turn(), suite.turn()
            if not ours["output_tokens"] == theirs["output_tokens"] == row.output_tokens:
                seen = f"{ours['output_tokens']} tokens of the suite's, {theirs['output_tokens']} of the bare loop's"
                raise MeasurementError(f"{row.scenario}: {seen}; expected {row.output_tokens} of each")
            if number:
                ratios[row.scenario].append(ours["total_s"] / theirs["total_s"])
    return ratios


def plan_of(model_dir: Path, vocab_size: int, device: Device, rounds: int, seed: int) -> LaunchPlan:
    rows = tuple(
        PlanRow(f"{batch}x{prompt}->{output}", batch, prompt, output) for batch, prompt, output in SHAPES[device]
    )
    return LaunchPlan(
        schema=PLAN_SCHEMA,
        engine="vllm",
        model_dir=str(model_dir),
        vocab_size=vocab_size,
        settings=SETTINGS[device],
        threads=usable_cores(),
        rounds=1 + rounds,
        # The other side is on the same device: rounds count all the same, it does nothing meanwhile.
        repeats=0,
        order_seed=seed,
        prompt_seed=1,
        rows=rows,
        device=device,
        measure_peaks=False,
        in_turn=True,
    )


def claims(device: Device) -> list[Claim]:
    """What a run of the suite's would hold. Raises as used_gpus does."""
    if device == "cpu":
        return [Claim(cpu_device_name())]
    return [claim for gpu in used_gpus(1, os.environ) for claim in gpu_claims(gpu.uuid, gpu.whole_uuid)]


def asked(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.vllm_offline", description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=tuple(SHAPES), default="cpu")
    parser.add_argument("--launches", type=int, default=3, help="of both sides; default 3")
    parser.add_argument("--rounds", type=int, default=12, help="a launch; default 12")
    parser.add_argument("--python", help="with vLLM; default: of `make vllm-cpu`, on a GPU the one this runs in")
    parser.add_argument("--cache", type=Path, default=default_cache_root())
    args = parser.parse_args(argv)
    if min(args.launches, args.rounds) < 1:
        parser.error(f"--launches {args.launches} --rounds {args.rounds}: expected 1 or more of each")
    args.python = args.python or (VLLM_PYTHON if args.device == "cpu" else VLLM_NAMED or sys.executable)
    if shutil.which(args.python) is None:
        parser.error(f"{args.python}: no such interpreter; make vllm-cpu, or name one with vLLM: --python")
    return args


def compare(args: argparse.Namespace, console: Console) -> None:
    source = resolve("dummy", MODELS[args.device])
    skeleton = "load_format" in SETTINGS[args.device]
    model = ensure(source, "vllm", "fp16", args.cache, sys.executable, isa(), console.print, skeleton=skeleton).path
    found: dict[str, list[float]] = {}
    for number in range(args.launches):
        console.print(f"launch {number + 1} of {args.launches}: both sides load, then take turns")
        plan = plan_of(model, source.vocab_size, args.device, args.rounds, seed=number)
        for row, ratios in launch(plan, args.python, suite_first=number % 2 == 0).items():
            found.setdefault(row, []).append(median(ratios))
            console.print(f"launch {number + 1}, {row}: {', '.join(f'{ratio:.3f}' for ratio in ratios)}")
    table = Table("seconds of a measured round over those of a bare loop", "mean", "95% interval", "goal", box=None)
    for row, medians in found.items():
        table.add_row(*Result(row, medians, GOAL, digits=4).cells())
    console.print(table)


def main(argv: Sequence[str] | None = None) -> None:
    args = asked(argv)
    console = Console(highlight=False, width=100)
    # Ends as an interrupted one does, with both sides: one that is stopped would not see that its parent is gone.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with device_locks(claims(args.device), LOCK_S, console.print):
            compare(args, console)
    except TokgateError as error:
        raise SystemExit(f"bench: {error}") from None


if __name__ == "__main__":
    main()
