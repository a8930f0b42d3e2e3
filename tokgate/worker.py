"""The process that measures: `PYTHON -m tokgate.worker PLAN` loads one engine and measures one launch.

It needs the standard library, numpy and the engine, on a GPU nvidia-ml-py too, nothing else, so it runs in any
environment. Events go to standard output, one JSON object a line:

    imported  the engine's libraries, where the plan wants it to wait for its turn then
    warm      where the plan wants it to wait before its first round
    peaks     what the machine itself reads and computes a second: a GPU before the engine takes its memory, CPUs
              after the last round; left out where that was not asked for, or could not be measured
    loaded    seconds, what the engine says of itself, and what came into the compile caches
              meanwhile, by cache
    accuracy  distance of the logits from the FP32 reference on the same weights
    round     one generate call: seconds, tokens, use of CPUs and GPUs, peak memory, the engine's own counters and
              its KV cache's blocks, and what disturbed it, if anything
    done      seconds since its turn came, inside rounds that count, and inside discarded ones
    error     why nothing more comes
"""

from __future__ import annotations

import gc
import sys
import time
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tokgate import accuracy, engines
from tokgate.child import Emit, Event, await_parent
from tokgate.enginewatch import engine_watch
from tokgate.machine.gpuprobe import measured_gpu_peaks
from tokgate.machine.memory import family_peak_rss_bytes, reset_family_peak_rss
from tokgate.machine.probe import measured_peaks
from tokgate.machine.watch import Watch, open_watch
from tokgate.plan import LaunchPlan, PlanRow
from tokgate.workerprocess import run_worker
from tokgate.workload.prompts import Tokens, prompts_of

# A warm-up touches every shape's code path and buffers; it need not be long.
_WARMUP_TOKENS = 2


class Launch:
    """One engine, loaded once, measuring its plan. `imported_s`: of its start, what was done before its turn came."""

    def __init__(self, plan: LaunchPlan, emit: Emit, watch: Watch, imported_s: float = 0.0) -> None:
        self._plan = plan
        self._imported_s = imported_s
        self._emit = emit
        self._watch = watch
        self._repeats_left = plan.repeats
        self._measured_s = 0.0
        self._discarded_s = 0.0

    def run(self) -> None:
        started = time.perf_counter()
        if self._plan.device == "gpu":
            self._measure_peaks()
        load_started = time.perf_counter()
        self._engine = self._load()
        self._emit(
            {
                "event": "loaded",
                "load_s": self._imported_s + time.perf_counter() - load_started,
                "peak_rss_bytes": family_peak_rss_bytes(),
                "engine": self._engine.describe(),
                "compiled": self._compiled(),
            }
        )
        with engine_watch(self._emit):
            self._check_accuracy()
            self._warm_up()
            gc.collect()
            gc.freeze()
            if self._plan.in_turn:
                self._emit({"event": "warm"})
                await_parent()
            for number, row in self._plan.order():
                self._measure_until_quiet(number, row)
        if self._plan.device == "cpu":
            self._measure_peaks()
        total_s = time.perf_counter() - started
        self._emit(
            {
                "event": "done",
                "total_s": total_s,
                "measured_s": self._measured_s,
                "discarded_s": self._discarded_s,
            }
        )

    def _load(self) -> Any:
        return engines.load(self._plan.engine, self._plan.model_dir, self._plan.threads, self._plan.settings)

    def _check_accuracy(self) -> None:
        """Not where there is nothing to compare with: a skeleton, whose weights the engine makes up."""
        folder = Path(self._plan.model_dir)
        if not (folder / accuracy.FILE_NAME).exists():
            return
        reference = accuracy.Reference.load(folder)
        logits = self._engine.forced_logits(reference.prompts, reference.continuation)
        self._emit({"event": "accuracy", **asdict(accuracy.compare(reference.logits, logits))})

    def _warm_up(self) -> None:
        for row in self._plan.rows:
            self._engine.generate(self._prompts(row), min(_WARMUP_TOKENS, row.output_len), **row.asked.keywords)
        self._watch.settle()

    def _measure_peaks(self) -> None:
        """Where no round has to do with it."""
        plan = self._plan
        if not plan.measure_peaks:
            return
        try:
            peaks = measured_gpu_peaks(plan.gpus) if plan.device == "gpu" else measured_peaks(plan.threads)
            self._emit({"event": "peaks", **peaks})
        except Exception as error:  # peaks explain figures and are none: they may fail
            print(f"the machine's peaks were not measured: {error}", file=sys.stderr)

    def _measure_until_quiet(self, number: int, row: PlanRow) -> None:
        """Measures a round; a disturbed one is discarded and repeated while the launch has repeats left."""
        while True:
            event = self._measure(number, row)
            disturbed = event["disturbed"] is not None
            if disturbed:
                self._discarded_s += event["total_s"]
            else:
                self._measured_s += event["total_s"]
            event["repeated"] = disturbed and self._repeats_left > 0
            self._emit(event)
            if not event["repeated"]:
                return
            self._repeats_left -= 1

    def _prompts(self, row: PlanRow) -> Tokens:
        plan = self._plan
        return prompts_of(row.asked.prompts, row.batch, row.prompt_len, plan.vocab_size, plan.prompt_seed)

    def _measure(self, number: int, row: PlanRow) -> Event:
        prompts = self._prompts(row)
        extra_len = self._plan.extra_len(row)
        counted = self._counters()
        reset_family_peak_rss()
        self._watch.start()
        generation = self._engine.generate(prompts, row.output_len + extra_len, **row.asked.keywords)
        watched = self._watch.stop()
        tokens = generation.tokens
        return {
            "event": "round",
            "scenario": row.scenario,
            "round": number,
            "total_s": generation.total_s,
            "prefill_s": generation.prefill_s,
            "tpot_s": generation.tpot_s,
            "prompt_tokens": int(prompts.size),
            # Engines leave -1 where they made no token, so a sequence that ended early is not counted as whole.
            # Tokens of an inflated plan are not credited: what is left is the planned count only if all were made.
            "output_tokens": int(((tokens >= 0) & (tokens < self._plan.vocab_size)).sum()) - row.batch * extra_len,
            "tokens_crc32": zlib.crc32(np.ascontiguousarray(tokens).tobytes()),
            "peak_rss_bytes": family_peak_rss_bytes(),
            **watched.figures,
            **self._counted_since(counted),
            **self._cache_use(),
            "disturbed": watched.disturbed,
        }

    def _compiled(self) -> dict[str, int]:
        """Most engines compile nothing."""
        compiled: dict[str, int] = getattr(self._engine, "compiled", dict)()
        return compiled

    def _counters(self) -> dict[str, float]:
        """What the engine counts since its start; most count nothing."""
        counters: dict[str, float] = getattr(self._engine, "counters", dict)()
        return counters

    def _cache_use(self) -> dict[str, dict[str, int | None]]:
        """Of the round that just ended; most engines do not tell."""
        use: dict[str, int | None] = getattr(self._engine, "kv_cache", dict)()
        return {"kv_cache": use} if use else {}

    def _counted_since(self, before: dict[str, float]) -> dict[str, dict[str, float]]:
        now = self._counters()
        return {"counters": {name: value - before.get(name, 0.0) for name, value in now.items()}} if now else {}


def measure(plan: LaunchPlan, emit: Emit) -> None:
    imported_s = 0.0
    if plan.in_turn:
        started = time.perf_counter()
        engines.imported(plan.engine, plan.settings)
        imported_s = time.perf_counter() - started
        emit({"event": "imported"})
        await_parent()
    Launch(plan, emit, open_watch(plan), imported_s).run()


def main(argv: list[str]) -> int:
    return run_worker("tokgate.worker PLAN", argv, measure)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
