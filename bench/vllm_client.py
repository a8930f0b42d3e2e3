"""`PYTHON -m bench.vllm_client CPU RESULT ARGUMENT...`: vllm bench serve on one core, and the CPU time that took.

PYTHON is one that has vLLM. CPU: the core's number. RESULT: a file for {"cpu_s": ...}, the process's CPU seconds from
the start of its main run to its end: what it takes to import torch and to make prompts is no part of a client's cost.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vllm.benchmarks import serve


def main() -> None:
    cpu, result, *arguments = sys.argv[1:]
    os.sched_setaffinity(0, {int(cpu)})
    seen: dict[str, float] = {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            seen[name] = time.process_time()
            return function(*args, **kwargs)

        return wrapper

    # The first thing of its main run, and the first after it.
    serve.get_request = timed("begun", serve.get_request)
    serve.calculate_metrics = timed("ended", serve.calculate_metrics)
    parser = argparse.ArgumentParser()
    serve.add_cli_args(parser)
    serve.main(parser.parse_args(arguments))
    Path(result).write_text(json.dumps({"cpu_s": seen["ended"] - seen["begun"]}))


main()
