"""The process that measures: `PYTHON -m tokgate.worker PLAN` loads one engine and measures one launch.

It needs the standard library, numpy and the engine, nothing else, so it runs in any environment. Events go
to standard output, one JSON object a line:

    loaded    seconds, and what the engine says of itself
    accuracy  distance of the logits from the FP32 reference on the same weights
    round     one generate call: seconds, tokens, CPU use, peak memory, and what disturbed it, if anything
    peaks     what the machine itself reads and computes a second; left out where that could not be measured
    done      seconds in all, inside rounds that count, and inside discarded ones
    error     why nothing more comes
"""

from __future__ import annotations

import gc
import sys
import time
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tokgate import accuracy, engines
from tokgate.child import Emit, Event, child_events
from tokgate.machine.memory import peak_rss_bytes, reset_peak_rss
from tokgate.machine.probe import ProbeBand, matmul_probe, measured_peaks
from tokgate.machine.telemetry import DisturbanceLimits, RoundWatch, disturbance
from tokgate.plan import LaunchPlan, PlanRow
from tokgate.workload.prompts import random_prompts

# Whose roof is that of the cores and the memory of this host.
_CPU_ENGINES = ("onnx", "transformers")
# A warm-up touches every shape's code path and buffers; it need not be long.
_WARMUP_TOKENS = 2


class Launch:
    """One engine, loaded once, measuring its plan."""

    def __init__(self, plan: LaunchPlan, emit: Emit) -> None:
        self._plan = plan
        self._emit = emit
        self._repeats_left = plan.repeats
        self._measured_s = 0.0
        self._discarded_s = 0.0
        self._band = ProbeBand()
        self._limits = DisturbanceLimits()

    def run(self) -> None:
        started = time.perf_counter()
        self._engine = engines.load(self._plan.engine, self._plan.model_dir, self._plan.threads, self._plan.settings)
        loaded_s = time.perf_counter() - started
        self._emit(
            {
                "event": "loaded",
                "load_s": loaded_s,
                "peak_rss_bytes": peak_rss_bytes(),
                "engine": self._engine.describe(),
            }
        )
        self._check_accuracy()
        self._warm_up()
        gc.collect()
        gc.freeze()
        for number, row in self._plan.order():
            self._measure_until_quiet(number, row)
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

    def _check_accuracy(self) -> None:
        reference = accuracy.Reference.load(Path(self._plan.model_dir))
        logits = self._engine.forced_logits(reference.prompts, reference.continuation)
        self._emit({"event": "accuracy", **asdict(accuracy.compare(reference.logits, logits))})

    def _warm_up(self) -> None:
        for row in self._plan.rows:
            prompts = random_prompts(row.batch, row.prompt_len, self._plan.vocab_size, self._plan.prompt_seed)
            self._engine.generate(prompts, min(_WARMUP_TOKENS, row.output_len))
        for _ in range(3):
            self._band.add(matmul_probe(self._plan.threads))

    def _measure_peaks(self) -> None:
        """After the last round, so that no round has to do with it. It explains figures and is none: it may fail."""
        if self._plan.engine not in _CPU_ENGINES:
            return
        try:
            self._emit({"event": "peaks", **measured_peaks(self._plan.threads)})
        except Exception as error:
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

    def _measure(self, number: int, row: PlanRow) -> Event:
        prompts = random_prompts(row.batch, row.prompt_len, self._plan.vocab_size, self._plan.prompt_seed)
        extra_len = self._plan.extra_len(row)
        before_s = matmul_probe(self._plan.threads)
        reset_peak_rss()
        watch = RoundWatch()
        watch.start()
        generation = self._engine.generate(prompts, row.output_len + extra_len)
        use = watch.stop()
        after_s = matmul_probe(self._plan.threads)
        tokens = generation.tokens
        return {
            "event": "round",
            "scenario": row.scenario,
            "round": number,
            "total_s": generation.total_s,
            "prefill_s": generation.prefill_s,
            "prompt_tokens": int(prompts.size),
            # Engines leave -1 where they made no token, so a sequence that ended early is not counted as whole.
            # Tokens of an inflated plan are not credited: what is left is the planned count only if all were made.
            "output_tokens": int(((tokens >= 0) & (tokens < self._plan.vocab_size)).sum()) - row.batch * extra_len,
            "tokens_crc32": zlib.crc32(np.ascontiguousarray(tokens).tobytes()),
            "peak_rss_bytes": peak_rss_bytes(),
            "probe_s": [before_s, after_s],
            "use": asdict(use),
            "disturbed": disturbance(use, self._limits) or self._band.fault(before_s, after_s),
        }


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print("usage: python -m tokgate.worker PLAN", file=sys.stderr)
        return 2
    emit = child_events()
    try:
        Launch(LaunchPlan.read(Path(argv[0])), emit).run()
    except Exception as error:
        emit({"event": "error", "message": f"{type(error).__name__}: {error}"})
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
