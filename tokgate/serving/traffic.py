"""From a row to the load of one round: requests whose prompts no round before had. Pure.

Prompts are token ids: their lengths are exact, and the server has nothing to tokenise. A server keeps what it computed
of a prompt, so a round that repeated the last one's prompts would measure its cache.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tokgate.plan import LaunchPlan, PlanRow
from tokgate.serving.arrivals import arrivals
from tokgate.serving.load import Load
from tokgate.serving.request import Request, Target
from tokgate.workload.prompts import Tokens, prompts_of

PATH = "/v1/completions"
WARMUP_TOKENS = 8
# One client process keeps up with so many streams of a fast server; where there are cores for more, more are started.
_STREAMS_PER_PROCESS = 100
_CORES_PER_PROCESS = 4


class Loads:
    """The loads of one launch on the server at `target`, by a client that may use `cpus` of them."""

    def __init__(self, plan: LaunchPlan, target: Target, cpus: int) -> None:
        self._plan = plan
        self._target = target
        self._cpus = cpus
        self._made: Counter[str] = Counter()

    def of_round(self, number: int, row: PlanRow, rate: float | None) -> Load:
        """A closed loop, or an open one at `rate` requests a second."""
        requests = self._requests(row, number)
        starts_s = arrivals(len(requests), rate, seed=self._plan.prompt_seed + number) if rate else None
        return Load(self._target, requests, None if rate else row.batch, starts_s, processes=self._processes(row))

    def to_warm_up(self, row: PlanRow) -> Load:
        """As many as at once, and short."""
        requests = self._requests(row, "warm-up", min(WARMUP_TOKENS, row.output_len))
        return Load(self._target, requests[: row.batch], row.batch)

    def at_capacity(self, row: PlanRow) -> Load:
        """The row's requests in a closed loop."""
        return Load(self._target, self._requests(row, "capacity"), row.batch, processes=self._processes(row))

    def seed(self, row: PlanRow, occasion: object) -> int:
        """Another one for each load of a launch, and the same in every launch: no prompt comes twice to a server."""
        name = f"{row.batch} {row.prompt_len} {row.output_len} {row.traffic} {occasion}"
        self._made[name] += 1
        return self._plan.prompt_seed + zlib.crc32(f"{name} {self._made[name]}".encode())

    def _processes(self, row: PlanRow) -> int:
        return max(1, min(row.batch // _STREAMS_PER_PROCESS, self._cpus // _CORES_PER_PROCESS))

    def _requests(self, row: PlanRow, occasion: object, output_len: int | None = None) -> list[Request]:
        plan = self._plan
        assert plan.server is not None, "loads are of servers"
        sampling = plan.settings.get("sampling", {})
        return requests_of(row, plan.server.model, plan.vocab_size, self.seed(row, occasion), sampling, output_len)


def requests_of(
    row: PlanRow, model: str, vocab_size: int, seed: int, sampling: Mapping[str, Any], output_len: int | None = None
) -> list[Request]:
    """The requests of one round of `row`, of other prompts for another `seed`; `output_len`: another length."""
    assert row.traffic is not None
    prompts = prompts_of(row.traffic.prompts, row.requests, row.prompt_len, vocab_size, seed)
    length = row.output_len if output_len is None else output_len
    return [
        Request(_body(model, prompt[:prompt_len], length, sampling), prompt_len, length)
        for prompt, prompt_len in zip(prompts, row.prompt_lens, strict=True)
    ]


def _body(model: str, prompt: Tokens, output_len: int, sampling: Mapping[str, Any]) -> bytes:
    body = {
        "model": model,
        "prompt": prompt.tolist(),
        "max_tokens": output_len,
        "temperature": 0.0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
        **sampling,
    }
    return json.dumps(body, separators=(",", ":")).encode()
