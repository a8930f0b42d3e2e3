"""One side of a comparison: a process that loads an engine once and generates when it is told to.

Commands come as lines of standard input ("batch prompt_len output_len"), one answer a line: the seconds.
Both sides stay loaded and take turns, so both meet the same minutes of a noisy machine.
"""

from __future__ import annotations

import json
import os
import sys

from tokgate import engines
from tokgate.machine.memory import peak_rss_bytes
from tokgate.workload.prompts import random_prompts


def main(engine_name: str, model_dir: str, threads: int, vocab_size: int) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if engine_name == "optimum":
        from bench.optimum_engine import OptimumEngine

        engine: engines.Engine = OptimumEngine(model_dir, threads, {})  # type: ignore[assignment]  # it only generates
    else:
        engine = engines.load(engine_name, model_dir, threads, {})
    answers.write("ready\n")
    for line in sys.stdin:
        batch, prompt_len, output_len = map(int, line.split())
        done = engine.generate(random_prompts(batch, prompt_len, vocab_size, 1), output_len)
        answers.write(
            json.dumps({"total_s": done.total_s, "prefill_s": done.prefill_s, "peak": peak_rss_bytes()}) + "\n"
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
