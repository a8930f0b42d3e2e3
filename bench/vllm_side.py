"""`PYTHON -m bench.vllm_side PLAN suite|bare`: one side of a comparison, a process that measures when it is told to.

Both sides hold vLLM with the plan's settings and take turns, a turn being one generate call: `suite` is the worker
itself, with all that it does beside a round; `bare` is `LLM.generate` and a clock, as vLLM's documentation shows it.
Both import vLLM at once. A byte on standard input lets it load, which it answers with the event "warm"; each byte after
that is a turn, answered with the event "round", whose total_s and output_tokens count here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from tokgate.child import Emit, Event, await_parent
from tokgate.plan import LaunchPlan
from tokgate.worker import measure
from tokgate.workerprocess import run_worker
from tokgate.workload.prompts import prompts_of


def suite(plan: LaunchPlan, emit: Emit) -> None:
    """The worker waits for its parent before it loads and before its first round; here before each other round too."""

    def heard(event: Event) -> None:
        emit(event)
        if event["event"] == "round":
            await_parent()

    measure(plan, heard)


def bare(plan: LaunchPlan, emit: Emit) -> None:
    from vllm import LLM, SamplingParams

    await_parent()
    llm = LLM(model=plan.model_dir, enable_prefix_caching=False, **plan.settings)
    emit({"event": "warm"})
    for _, row in plan.order():
        tokens = prompts_of(row.asked.prompts, row.batch, row.prompt_len, plan.vocab_size, plan.prompt_seed)
        prompts = [{"prompt_token_ids": prompt} for prompt in tokens.tolist()]
        sampling = {"temperature": 0.0, **row.asked.sampling}
        params = SamplingParams(**sampling, max_tokens=row.output_len, ignore_eos=True)
        await_parent()
        started = time.perf_counter()
        outputs = llm.generate(prompts, params, use_tqdm=False)
        total_s = time.perf_counter() - started
        made = sum(len(output.outputs[0].token_ids) for output in outputs)
        emit({"event": "round", "total_s": total_s, "output_tokens": made})


WORK: dict[str, Callable[[LaunchPlan, Emit], None]] = {"suite": suite, "bare": bare}


def main(argv: list[str]) -> int:
    return run_worker("bench.vllm_side PLAN suite|bare", argv, lambda plan, emit: WORK[argv[1]](plan, emit))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
