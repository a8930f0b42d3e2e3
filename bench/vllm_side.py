"""`PYTHON -m bench.vllm_side suite|bare PLAN`: one side of a comparison, a process that measures when it is told to.

Both sides hold vLLM with the plan's settings and take turns, a turn being one generate call: `suite` is the worker
itself, with all that it does beside a round; `bare` is `LLM.generate` and a clock, as vLLM's documentation shows it.
Both import vLLM at once. A byte on standard input lets it load, which it answers with {"ready": true}; each byte after
that is a turn, answered with {"total_s": seconds, "output_tokens": count} at least.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import IO

from tokgate.child import Event, await_parent
from tokgate.plan import LaunchPlan
from tokgate.worker import measure
from tokgate.workerprocess import show_gpus
from tokgate.workload.prompts import prompts_of

READY = '{"ready": true}\n'


def suite(plan: LaunchPlan, answers: IO[str]) -> None:
    """The worker waits for its parent before it loads and before its first round; here before each other round too."""

    def heard(event: Event) -> None:
        if event["event"] == "warm":
            answers.write(READY)
        elif event["event"] == "round":
            answers.write(json.dumps(event) + "\n")
            await_parent()

    measure(plan, heard)


def bare(plan: LaunchPlan, answers: IO[str]) -> None:
    from vllm import LLM, SamplingParams

    await_parent()
    llm = LLM(model=plan.model_dir, enable_prefix_caching=False, **plan.settings)
    answers.write(READY)
    for _, row in plan.order():
        tokens = prompts_of(plan.prompts, row.batch, row.prompt_len, plan.vocab_size, plan.prompt_seed)
        prompts = [{"prompt_token_ids": prompt} for prompt in tokens.tolist()]
        params = SamplingParams(temperature=0.0, max_tokens=row.output_len, ignore_eos=True)
        await_parent()
        started = time.perf_counter()
        outputs = llm.generate(prompts, params, use_tqdm=False)
        total_s = time.perf_counter() - started
        made = sum(len(output.outputs[0].token_ids) for output in outputs)
        answers.write(json.dumps({"total_s": total_s, "output_tokens": made}) + "\n")


def main(side: str, path: str) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    plan = LaunchPlan.read(Path(path))
    if plan.device == "gpu":
        show_gpus(plan.gpus, os.environ)
    {"suite": suite, "bare": bare}[side](plan, answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
