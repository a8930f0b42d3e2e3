"""The plan of one launch: everything a worker needs, as data. Standard library alone: the worker reads it.

A launch measures every row of its group, round after round, each round in an order of its own.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

# Version history: 1  the first
PLAN_SCHEMA = 1

Device = Literal["cpu", "gpu"]
# What prompts hold, see workload/prompts.py.
Prompts = Literal["random", "repetitive"]


@dataclass(frozen=True)
class PlanRow:
    """Work of one row: `batch` prompts of `prompt_len` tokens, `output_len` tokens each."""

    scenario: str
    batch: int
    prompt_len: int
    output_len: int

    @property
    def output_tokens(self) -> int:
        return self.batch * self.output_len


@dataclass(frozen=True)
class LaunchPlan:
    """One launch of one group.

    `repeats` bounds how many disturbed rounds the launch may measure again, over all its rows. `order_seed`
    shuffles the rows; the prompts have a seed of their own, so that every session does the same work.
    `inflate` plays a slower engine for the proof kit: each call makes this share more tokens than it is credited.

    `device` is what is watched beside the rounds: "cpu", which vLLM's build for CPUs may run on too, or "gpu": then
    the launch uses the first `gpus` visible ones and no other. `measure_peaks`: whether it measures what the machine
    itself reads and computes. A worker that reports nothing for `silence_s` seconds is stopped: loading vLLM takes
    two minutes with everything compiled anew, and the longest round of the slowest machine some.
    """

    schema: int
    engine: str
    model_dir: str
    vocab_size: int
    settings: dict[str, Any]
    threads: int
    rounds: int
    repeats: int
    order_seed: int
    prompt_seed: int
    rows: tuple[PlanRow, ...]
    inflate: float = 0.0
    device: Device = "cpu"
    gpus: int = 1
    measure_peaks: bool = True
    silence_s: float = 900.0
    prompts: Prompts = "random"

    def extra_len(self, row: PlanRow) -> int:
        """Tokens a sequence that are made and not credited. Raises ValueError where that is no whole number."""
        extra = row.output_len * self.inflate
        if self.inflate < 0 or abs(extra - round(extra)) > 1e-9:
            raise ValueError(
                f"{row.scenario}: {100 * self.inflate:g}% of {row.output_len} output tokens is {extra:g}; expected a "
                "whole number from 0 up, since part of a token cannot be made"
            )
        return round(extra)

    def order(self) -> Iterator[tuple[int, PlanRow]]:
        """(round, row) in the order of measuring."""
        shuffle = random.Random(self.order_seed)
        for number in range(self.rounds):
            rows = list(self.rows)
            shuffle.shuffle(rows)
            for row in rows:
                yield number, row

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1), "utf-8")

    @classmethod
    def read(cls, path: Path) -> LaunchPlan:
        """Raises ValueError if the plan is of another schema."""
        data = json.loads(path.read_text("utf-8"))
        if data.get("schema") != PLAN_SCHEMA:
            raise ValueError(f"{path}: plan schema {data.get('schema')}; this worker reads {PLAN_SCHEMA}")
        return cls(**{**data, "rows": tuple(PlanRow(**row) for row in data["rows"])})
