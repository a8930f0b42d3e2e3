"""The plan of one launch: everything a worker needs, as data. Standard library alone: the worker reads it.

A launch measures every row of its group, round after round, each round in an order of its own.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

# Version history: 1  the first; 2  what is asked, of each row
PLAN_SCHEMA = 2

Device = Literal["cpu", "gpu"]
# What prompts hold, see workload/prompts.py.
Prompts = Literal["random", "repetitive", "shared", "mixed"]
# Tokens of the short ones among mixed prompts.
SHORT_PROMPT_LEN = 16


Api = Literal["completions", "chat", "generate"]


@dataclass(frozen=True)
class Users:
    """People at a server, driven by Locust: they come by `spawn_per_s`, ask, read the whole answer, think between
    `think_s[0]` and `think_s[1]`, and ask again, for `seconds` in all. `stream`: whether they see it being written."""

    api: Api
    stream: bool
    spawn_per_s: float
    think_s: tuple[float, float]
    seconds: float


@dataclass(frozen=True)
class Traffic:
    """What a load client sends a server in one round: `requests`, holding such `prompts`.

    Closed loop: as many at once as the row's `batch`. Open loop: at `open_share` of the request rate that the server
    was found to carry in that closed loop. `both_clients`: two commands send it in turn, see serving/crosscheck.py.
    `users`: as many of those as the row's `batch`, and however many requests they come to make.
    """

    requests: int
    prompts: Prompts = "random"
    open_share: float | None = None
    both_clients: bool = False
    users: Users | None = None

    @classmethod
    def of(cls, data: dict[str, Any]) -> Traffic:
        """From decoded JSON."""
        users = data.get("users")
        if users:
            users = Users(**{**users, "think_s": tuple(users["think_s"])})
        return cls(**{**data, "users": users})


@dataclass(frozen=True)
class Asked:
    """What an offline engine is asked beside lengths: what its `prompts` hold, and how tokens are chosen where that is
    not greedily (`sampling`: vLLM's sampling parameters by name)."""

    prompts: Prompts = "random"
    sampling: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def keywords(self) -> dict[str, Any]:
        """For an engine's `generate`; empty of what all engines do alike."""
        return {"sampling": dict(self.sampling)} if self.sampling else {}


@dataclass(frozen=True)
class PlanRow:
    """Work of one row: `batch` prompts of `prompt_len` tokens at once, `output_len` tokens each.

    With `traffic` they are requests to a server, and a round has more of them than there are at once; without, they are
    `asked` of the engine itself.
    """

    scenario: str
    batch: int
    prompt_len: int
    output_len: int
    traffic: Traffic | None = None
    asked: Asked = Asked()

    @property
    def requests(self) -> int:
        """Prompts of one round."""
        return self.batch if self.traffic is None else self.traffic.requests

    @property
    def prompt_lens(self) -> list[int]:
        """Tokens of each prompt. Of mixed ones so many at once are long as are short, the long ones first."""
        if self.traffic is None or self.traffic.prompts != "mixed":
            return [self.prompt_len] * self.requests
        long = [number % self.batch < self.batch // 2 for number in range(self.requests)]
        return [self.prompt_len if is_long else SHORT_PROMPT_LEN for is_long in long]

    @property
    def prompt_tokens(self) -> int:
        return sum(self.prompt_lens)

    @property
    def output_tokens(self) -> int:
        return self.requests * self.output_len

    @classmethod
    def of(cls, data: dict[str, Any]) -> PlanRow:
        """From decoded JSON."""
        traffic = data.get("traffic")
        return cls(
            **{**data, "traffic": Traffic.of(traffic) if traffic else None, "asked": Asked(**data.get("asked", {}))}
        )


@dataclass(frozen=True)
class ServerPlan:
    """The server of a launch that serves: one that the interpreter `python` is to start, or what is at `base_url`.

    `model`: the name that it serves the model under. `api_key_env`: the variable that holds the key, if it wants one.
    `log`: where the output of a server that is started goes. `tokenizer_dir`: of a /generate service, whose model's
    folder has none.
    """

    model: str
    python: str = ""
    base_url: str = ""
    api_key_env: str = ""
    log: str = ""
    tokenizer_dir: str = ""


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

    `in_turn`: the worker imports its engine at once, and waits for its parent twice: before it touches the device, and
    before its first round.
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
    server: ServerPlan | None = None
    load_workers: int = 0
    in_turn: bool = False

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
        server = ServerPlan(**data["server"]) if data.get("server") else None
        return cls(**{**data, "rows": tuple(map(PlanRow.of, data["rows"])), "server": server})
