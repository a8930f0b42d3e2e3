"""One server measured in turn by `vllm bench serve` and by `tokgate bench serve`, with the same flags.

Each sends prompts of its own seed: what the one sent is in the server's cache, and would be no work for the other.

How late a client sees first tokens is hard to tell from its TTFT, which differs by a tenth from round to round with how
requests meet in the server. So the server is asked, before and after each client, for the mean TTFT of the very same
requests as it counts it itself: in vLLM from when a request was parsed, before it is tokenised, to when the front end
has the first token. What a client's mean is longer by (TTFT_OVERHEAD) is the way, parsing and streaming in the server,
and the client, and no waiting for the model. Two things are in it that are not the client's: requests that come all at
once wait to be parsed, so who sends late has less of it, against tokgate's client, which sends at once; and that one
starts its clock when it is connected, `vllm bench serve` before, by a connection in one request of four.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
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
TTFT_OVERHEAD = "ttft_overhead"
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
    """One round by both. `fault`: other work than was asked for; `doubt`: why the timings cannot be believed; `untold`:
    why the server's own TTFT of a client's requests is not known.
    """

    figures: dict[str, float]
    fault: str | None
    doubt: str | None
    total_s: float
    untold: str | None = None


@dataclass(frozen=True)
class _Answer:
    """What a client said in one round. `server_ttft_s`: the server's own mean TTFT of its requests; `untold`: why that
    is not known.
    """

    whose: str
    file: VllmFile
    server_ttft_s: float | None = None
    untold: str | None = None

    @property
    def overhead_s(self) -> float | None:
        mean_ms = self.file.latencies_ms.get("mean_ttft")
        return mean_ms / 1e3 - self.server_ttft_s if mean_ms and self.server_ttft_s is not None else None

    @property
    def figures(self) -> dict[str, float]:
        told = self.file.latencies_ms
        figures = {
            "output_throughput": self.file.output_throughput,
            "request_throughput": self.file.request_throughput,
            **{name: told[key] / 1e3 for name, key in _LATENCIES.items() if key in told},
            TTFT_OVERHEAD: self.overhead_s or 0.0,
        }
        return {f"{_PREFIX[self.whose]}{name}": value for name, value in figures.items() if value > 0}

    @property
    def doubts(self) -> Iterator[str]:
        """Why the client's timings cannot be."""
        yield from vllm_result.faults(self.file)
        if self.overhead_s is not None and self.overhead_s <= 0:
            yield (
                f"its mean TTFT is {-1e3 * self.overhead_s:.1f} ms below what the server counted of the same requests: "
                "one of the two clocks is wrong"
            )


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
        answers = [self._ask(whose, row, seeds[whose]) for whose in turns]

        def joined(said_of: Callable[[_Answer], Iterable[str]]) -> str | None:
            return "; ".join(f"{each.whose}'s client: {text}" for each in answers for text in said_of(each)) or None

        return CrossCheck(
            figures={name: value for each in answers for name, value in each.figures.items()},
            fault=joined(lambda each: _work_faults(each.file, row)),
            doubt=joined(lambda each: each.doubts),
            total_s=sum(each.file.duration_s for each in answers),
            untold=joined(lambda each: [each.untold] if each.untold else []),
        )

    def _ask(self, whose: str, row: PlanRow, seed: int) -> _Answer:
        before = self._metrics_page()
        file = self._measure(whose, row, seed)
        try:
            return _Answer(whose, file, server_ttft_s(before, self._metrics_page(), row.requests))
        except ValueError as error:
            return _Answer(whose, file, untold=str(error))

    def _metrics_page(self) -> bytes | None:
        """A second try, since one page that is late leaves a whole row without."""
        return fetch(self.metrics) or fetch(self.metrics)

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


def server_ttft_s(before: bytes | None, after: bytes | None, requests: int) -> float:
    """The mean TTFT that the server counted between two pages of its metrics.

    Raises ValueError where it does not tell, or counted other requests than the client's.
    """
    used = server_use(readings(page for page in (before, after) if page is not None))
    if used is None:
        raise ValueError("the server's /metrics could not be read")
    if used.ttft_s is None:
        raise ValueError(used.unknown or "the server's /metrics have no time to first token")
    if used.first_tokens != requests:
        raise ValueError(f"the server counted {used.first_tokens:g} first tokens, and {requests} requests were sent")
    return used.ttft_s


def _work_faults(file: VllmFile, row: PlanRow) -> list[str]:
    found = []
    if file.completed != row.requests:
        found.append(f"{row.requests - file.completed} of {row.requests} requests failed")
    if file.total_output_tokens != row.output_tokens:
        found.append(f"{file.total_output_tokens} output tokens; asked for were {row.output_tokens}")
    if abs(file.total_input_tokens - row.prompt_tokens) > _PROMPT_SLACK * row.prompt_tokens:
        found.append(f"{file.total_input_tokens} prompt tokens; asked for were {row.prompt_tokens}")
    return found
