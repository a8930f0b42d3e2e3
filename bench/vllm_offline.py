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
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.result import Result
from bench.serving import VLLM_PYTHON
from tokgate.child import python_path
from tokgate.machine.cpumodel import isa
from tokgate.machine.cpus import usable_cores
from tokgate.models.artifacts import ensure
from tokgate.models.cache import default_cache_root
from tokgate.models.source import resolve
from tokgate.plan import PLAN_SCHEMA, Device, LaunchPlan, PlanRow

ROOT = Path(__file__).resolve().parents[1]
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


class Side:
    """`suite` or `bare`, see vllm_side.py. It imports vLLM at once; its first turn is to load."""

    def __init__(self, side: str, python: str, plan: Path) -> None:
        self._log = plan.with_name(f"{side}.log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [python, "-m", "bench.vllm_side", side, str(plan)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env={"VLLM_CPU_KVCACHE_SPACE": "1", **os.environ, "PYTHONPATH": python_path()},
                start_new_session=True,
            )

    def turn(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: one side ended early; its last words:\n{self._log.read_text()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def launch(plan: LaunchPlan, python: str, suite_first: bool) -> dict[str, list[float]]:
    """Ratios suite/bare of the seconds a turn took, by row; the first round is left out, which still warms up."""
    ratios: dict[str, list[float]] = {row.scenario: [] for row in plan.rows}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder) / "plan.json"
        plan.write(path)
        suite = stack.enter_context(contextlib.closing(Side("suite", python, path)))
        bare = stack.enter_context(contextlib.closing(Side("bare", python, path)))
        # The suite waits until it has the device to itself, so it loads first.
        suite.turn()
        bare.turn()
        for turn, (number, row) in enumerate(plan.order()):
            if (turn % 2 == 0) == suite_first:
                ours, theirs = suite.turn(), bare.turn()
            else:
                theirs, ours = bare.turn(), suite.turn()
            if not ours["output_tokens"] == theirs["output_tokens"] == row.output_tokens:
                raise SystemExit(f"bench: {row.scenario}: the work was not equal: {ours}, {theirs}")
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


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.vllm_offline", description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=tuple(SHAPES), default="cpu")
    parser.add_argument("--launches", type=int, default=3, help="of both sides; default 3")
    parser.add_argument("--rounds", type=int, default=12, help="a launch; default 12")
    parser.add_argument("--python", default=VLLM_PYTHON if Path(VLLM_PYTHON).exists() else sys.executable)
    parser.add_argument("--cache", type=Path, default=default_cache_root())
    args = parser.parse_args(argv)
    device: Device = args.device
    console = Console(highlight=False, width=100)
    source = resolve("dummy", MODELS[device])
    skeleton = "load_format" in SETTINGS[device]
    model = ensure(source, "vllm", "fp16", args.cache, sys.executable, isa(), console.print, skeleton=skeleton).path
    found: dict[str, list[float]] = {}
    for number in range(args.launches):
        plan = plan_of(model, source.vocab_size, device, args.rounds, seed=number)
        for row, ratios in launch(plan, args.python, suite_first=number % 2 == 0).items():
            found.setdefault(row, []).append(median(ratios))
            console.print(f"launch {number + 1}, {row}: {', '.join(f'{ratio:.3f}' for ratio in ratios)}")
    table = Table("seconds of a measured round over those of a bare loop", "mean", "95% interval", "goal", box=None)
    for row, means in found.items():
        table.add_row(*Result(row, means, GOAL, digits=4).cells())
    console.print(table)


if __name__ == "__main__":
    main()
