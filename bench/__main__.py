"""`make bench`: prints a table of ratios with their 95% intervals. Nothing else should run meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import serving
from bench.result import Result
from tokgate.child import run_child
from tokgate.machine.cpumodel import isa
from tokgate.machine.cpus import usable_cores
from tokgate.machine.lock import cpu_device_name, device_lock
from tokgate.machine.probe import read_bandwidth
from tokgate.models.artifacts import ensure
from tokgate.models.cache import default_cache_root
from tokgate.models.source import resolve

ROOT = Path(__file__).resolve().parents[1]
MODEL = "qwen2.5-0.5b"
PAIRS = 12


class Side:
    """One loaded engine in a process of its own, taking turns with another."""

    def __init__(self, engine: str, model_dir: Path, threads: int, vocab_size: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.side", engine, str(model_dir), str(threads), str(vocab_size)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
        )  # fmt: skip
        self._answer()

    def turn(self, batch: int, prompt_len: int, output_len: int) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{batch} {prompt_len} {output_len}\n")
        self._process.stdin.flush()
        answer: dict[str, float] = json.loads(self._answer())
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("bench: one side ended early; run `python -m bench.side` by hand to see why")
        return line


def interleaved(one: Callable[[], float], other: Callable[[], float]) -> list[float]:
    """Ratios other/one of PAIRS turns in the order ABBA, so that drift and position cancel."""
    ratios = []
    for number in range(PAIRS):
        if number % 2:
            second, first = other(), one()
        else:
            first, second = one(), other()
        ratios.append(second / first)
    return ratios


def against_optimum(name: str, ours: Path, plain: Path, vocab_size: int, shape: tuple[int, int, int]) -> list[Result]:
    threads = usable_cores()
    mine, theirs = Side("onnx", ours, threads, vocab_size), Side("optimum", plain, threads, vocab_size)
    try:
        for side in (mine, theirs):
            side.turn(*shape)
        ratios = interleaved(lambda: mine.turn(*shape)["total_s"], lambda: theirs.turn(*shape)["total_s"])
        peak = mine.turn(*shape)["peak"]
    finally:
        mine.close()
        theirs.close()
    batch, prompt_len, output_len = shape
    what = f"{name} {batch}x{prompt_len}->{output_len}: our loop against optimum's generate"
    limit = "3.5 or less" if name == "FP32" else ""
    return [Result(what, ratios, "1.1x or more"), Result(f"{name} peak memory", [peak / 1e9], limit, " GB")]


def bandwidth_share(ours: Path, vocab_size: int, bytes_per_token: int) -> Result:
    """FP32 batch 1 decode: weight bytes read a second over what a plain multi-thread read reaches, in turns."""
    threads = usable_cores()
    side = Side("onnx", ours, threads, vocab_size)
    shares = []
    try:
        side.turn(1, 5, 50)
        for _ in range(PAIRS):
            probe = read_bandwidth(threads, repeats=3)
            done = side.turn(1, 5, 50)
            tpot_s = (done["total_s"] - done["prefill_s"]) / 49
            shares.append(bytes_per_token / tpot_s / probe)
    finally:
        side.close()
    return Result("FP32 batch 1 decode: share of the measured read bandwidth", shares, "0.85x or more")


def collection() -> Result:
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "pytest", "-m", "cpu", "--collect-only", "-q", "--perf-model", "dummy"],
            cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        seconds.append(time.perf_counter() - started)
    return Result("pytest -m cpu --collect-only -q", seconds, "1.5 s or less", " s")


def outside_rounds() -> list[Result]:
    """Share of the newest nightly run's time that was not inside measured rounds, builds left out."""
    for path in sorted((ROOT / ".tokgate" / "sessions").glob("*-nightly-*.json"), reverse=True):
        telemetry = json.loads(path.read_text())["telemetry"]
        outside = 1 - telemetry["measured_s"] / telemetry["run_s"]
        return [Result(f"time outside measured rounds ({path.stem})", [100 * outside], "25% or less", "%")]
    return []


def plain_graphs(checkpoint: Path, folder: Path) -> tuple[Path, Path]:
    """optimum's own graph in FP32 and INT8, as its users have them."""
    fp32, int8 = folder / "plain-fp32", folder / "plain-int8"
    if not (int8 / "model.onnx").exists():
        fp32.mkdir(parents=True, exist_ok=True)
        int8.mkdir(exist_ok=True)
        _step("export", checkpoint=str(checkpoint), out=str(fp32))
        _step("quantize", graph=str(fp32), out=str(int8), isa=isa())
        for file in fp32.glob("*.json"):
            (int8 / file.name).write_bytes(file.read_bytes())
    return fp32, int8


def _step(name: str, **arguments: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        request = Path(folder) / "request.json"
        request.write_text(json.dumps({"step": name, "arguments": arguments}))
        run_child([sys.executable, "-m", "tokgate.models.build", str(request)], lambda event: None)


def main() -> None:
    console = Console(highlight=False, width=100)
    root = default_cache_root()
    source = resolve("dummy", MODEL)

    def built(engine: str, precision: str) -> Path:
        return ensure(source, engine, precision, root, sys.executable, isa(), console.print).path

    fp32, int8 = built("onnx", "fp32"), built("onnx", "int8")
    plain_fp32, plain_int8 = plain_graphs(built("transformers", "fp32"), root / "bench")
    vocab_size, bytes_per_token = source.vocab_size, 4 * source.shape.parameters_read_per_token
    table = Table("what", "mean", "95% interval", "goal", box=None, pad_edge=False)
    results = [
        *against_optimum("FP32", fp32, plain_fp32, vocab_size, (1, 5, 50)),
        *against_optimum("INT8", int8, plain_int8, vocab_size, (8, 5, 50)),
        bandwidth_share(fp32, vocab_size, bytes_per_token),
        collection(),
        *outside_rounds(),
        *serving.results(tokenizer=built("transformers", "fp32")),
    ]
    for result in results:
        table.add_row(*result.cells())
    console.print(table)


with device_lock(cpu_device_name(), 3600.0, print):
    main()
