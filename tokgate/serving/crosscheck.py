"""One server measured in turn by `vllm bench serve` and by `tokgate bench serve`, with the same flags.

Each sends prompts of its own seed: what the one sent is in the server's cache, and would be no work for the other.

How late a client sees first tokens is hard to tell from its TTFT, which differs by a tenth from round to round with how
requests meet in the server. So the server is asked for the mean TTFT of the very same requests, as it counts it itself,
before and after each client: what a client's mean is longer by (`ttft_overhead`) is the way, the server's front end and
the client, and no waiting for the model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokgate.errors import MeasurementError
from tokgate.plan import PlanRow
from tokgate.serving import vllm_file, vllm_result
from tokgate.serving.request import Target
from tokgate.serving.server_metrics import fetch, readings, server_use
from tokgate.serving.vllm_file import VllmFile

# By whose client, and how the metrics of its figures begin.
OURS, THEIRS = "tokgate", "vllm"
_PREFIX = {OURS: "", THEIRS: "vllm_bench_"}
_LATENCIES = {
    "ttft": "median_ttft",
    "tpot": "median_tpot",
    "mean_ttft": "mean_ttft",
    "mean_tpot": "mean_tpot",
    "p99_ttft": "p99_ttft",
    "p99_tpot": "p99_tpot",
}
# A tokenizer makes some random prompts a token longer or shorter than they were drawn.
_PROMPT_SLACK = 0.02
# As many as NumPy's generator takes that `vllm bench serve` seeds.
_SEEDS = 2**32
_TIMEOUT_S = 800.0
_TAIL_CHARS = 2000


@dataclass(frozen=True)
class CrossCheck:
    """One round by both. `fault`: other work than was asked for; `doubt`: why the timings cannot be believed."""

    figures: dict[str, float]
    fault: str | None
    doubt: str | None
    total_s: float


@dataclass(frozen=True)
class BothClients:
    """The two commands: the one of the server's interpreter `python`, the other of this one. `metrics`: where the
    server tells of itself.
    """

    python: str
    base_url: str
    model: str
    tokenizer: str
    folder: Path
    metrics: Target

    def run(self, row: PlanRow, number: int, seed: int) -> CrossCheck:
        """One round: each client once. Raises MeasurementError where a command fails.

        Consecutive `number`s make the order ABBA. `seed`: of our prompts; theirs are of the next one.
        """
        turns = (OURS, THEIRS) if number % 2 == 0 else (THEIRS, OURS)
        seeds = {OURS: seed % _SEEDS, THEIRS: (seed + 1) % _SEEDS}
        files: dict[str, VllmFile] = {}
        figures: dict[str, float] = {}
        for whose in turns:
            before = fetch(self.metrics)
            files[whose] = self._measure(whose, row, seeds[whose])
            told = _server_ttft((before, fetch(self.metrics)), row.requests)
            figures |= _figures(whose, files[whose], told)
        faults = [f"{whose}'s client: {fault}" for whose, file in files.items() for fault in _work_faults(file, row)]
        doubts = [f"{whose}'s client: {doubt}" for whose, file in files.items() for doubt in vllm_result.faults(file)]
        seconds = sum(file.duration_s for file in files.values())
        return CrossCheck(figures, "; ".join(faults) or None, "; ".join(doubts) or None, seconds)

    def _measure(self, whose: str, row: PlanRow, seed: int) -> VllmFile:
        path = self.folder / f"{whose}-{seed}.json"
        module = (
            [self.python, "-m", "tokgate.serving.vllm_cli"] if whose == THEIRS else [sys.executable, "-m", "tokgate"]
        )
        try:
            done = subprocess.run(
                [*module, *bench_flags(row, self.base_url, self.model, self.tokenizer, seed, path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
                # vLLM's client would take a proxy from the environment, even to the loopback; tokgate's takes none.
                env={**os.environ, "no_proxy": "*", "NO_PROXY": "*"},
            )
        except subprocess.TimeoutExpired:
            raise MeasurementError(f"{whose} bench serve did not end within {_TIMEOUT_S:g} s") from None
        if not path.exists():
            tail = done.stdout[-_TAIL_CHARS:].strip()
            raise MeasurementError(f"{whose} bench serve ended with status {done.returncode} and no result:\n{tail}")
        return vllm_file.parse(json.loads(path.read_text("utf-8")), str(path))


def bench_flags(row: PlanRow, base_url: str, model: str, tokenizer: str, seed: int, result: Path) -> list[str]:
    """What both commands are given."""
    options: dict[str, Any] = {
        "backend": "openai",
        "base-url": base_url,
        "model": model,
        "tokenizer": tokenizer,
        "dataset-name": "random",
        "random-input-len": row.prompt_len,
        "random-output-len": row.output_len,
        "num-prompts": row.requests,
        "max-concurrency": row.batch,
        "temperature": 0,
        "ready-check-timeout-sec": 0,
        "seed": seed,
        "percentile-metrics": "ttft,tpot,itl,e2el",
        "metric-percentiles": "99",
        "result-dir": result.parent,
        "result-filename": result.name,
    }
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return ["bench", "serve", *given, "--ignore-eos", "--save-result", "--disable-tqdm"]


def _server_ttft(pages: tuple[bytes | None, bytes | None], requests: int) -> float | None:
    """Seconds: the mean that the server counted between two pages of its metrics; None where it does not tell, or where
    these are not the client's requests alone."""
    used = server_use(readings(page for page in pages if page is not None))
    return used.ttft_s if used is not None and used.first_tokens == requests else None


def _figures(whose: str, file: VllmFile, server_ttft_s: float | None) -> dict[str, float]:
    latencies = {name: file.latencies_ms[key] / 1e3 for name, key in _LATENCIES.items() if key in file.latencies_ms}
    figures = {
        "output_throughput": file.output_throughput,
        "request_throughput": file.request_throughput,
        **latencies,
    }
    if server_ttft_s is not None and "mean_ttft" in latencies:
        figures["ttft_overhead"] = latencies["mean_ttft"] - server_ttft_s
    return {f"{_PREFIX[whose]}{name}": value for name, value in figures.items() if value > 0}


def _work_faults(file: VllmFile, row: PlanRow) -> list[str]:
    found = []
    if file.completed != row.requests:
        found.append(f"{row.requests - file.completed} of {row.requests} requests failed")
    if file.total_output_tokens != row.output_tokens:
        found.append(f"{file.total_output_tokens} output tokens; asked for were {row.output_tokens}")
    if abs(file.total_input_tokens - row.prompt_tokens) > _PROMPT_SLACK * row.prompt_tokens:
        found.append(f"{file.total_input_tokens} prompt tokens; asked for were {row.prompt_tokens}")
    return found
