"""What to measure: scenarios and their ids, and the matrices that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tokgate.errors import InputError, unknown
from tokgate.plan import Asked, Device, PlanRow, Traffic

PRECISIONS = ("fp32", "bf16", "fp16", "int8", "int4", "bnb4")
DEFAULT_GATED = ("output_throughput", "ttft")
SERVING_GATED = (*DEFAULT_GATED, "tpot")
# Of users two figures that do not hang together: how many are served, and how long each waits.
USERS_GATED = ("request_throughput", "e2el")
SERVE = "serve"
# The engine's settings of this name are those of tokgate's own service over it.
SERVICE = "service"


@dataclass(frozen=True)
class Group:
    """What one worker can measure: one model in one engine at one precision with one set of settings.

    `model` is the id part of the weights in use, once they are known; `shape` the name under
    scenarios/models/ that the matrix gives. `settings` go to the engine as they are. `skeleton`: of dummy weights
    only the config is made, and the engine fills them itself.
    """

    shape: str
    model: str
    engine: str
    precision: str
    variants: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    device: Device = "cpu"
    skeleton: bool = False

    @property
    def id(self) -> str:
        return ".".join([self.model, self.engine, self.precision, *self.variants])

    @property
    def serves(self) -> bool:
        """Whether it is a server under a load client."""
        return self.engine == SERVE or self.is_service

    @property
    def is_service(self) -> bool:
        """Whether it is tokgate's own POST /generate, over the engine."""
        return SERVICE in self.settings

    @property
    def loader(self) -> str:
        """The engine whose files it loads and whose memory it takes: a server is vLLM's."""
        return "vllm" if self.engine == SERVE else self.engine

    @property
    def gpus(self) -> int:
        """How many GPUs it spreads over, where it runs on GPUs."""
        return int(self.settings.get("tensor_parallel_size", 1))


@dataclass(frozen=True)
class Scenario:
    """One row of the matrix: `batch` prompts of `prompt_len` tokens at once, each continued by `output_len` tokens.

    `variants`: those that leave the engine as it is, which so is measured under all of them in one launch: what else it
    is `asked`, or a server's `traffic`.
    """

    group: Group
    batch: int
    prompt_len: int
    output_len: int
    gated: tuple[str, ...] = DEFAULT_GATED
    quick: bool = False
    selections: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    traffic: Traffic | None = None
    asked: Asked = field(default_factory=Asked)

    @property
    def shape_id(self) -> str:
        return f"{'b' if self.traffic is None else 'c'}{self.batch}.p{self.prompt_len}.o{self.output_len}"

    @property
    def id(self) -> str:
        return ".".join([self.group.id, *self.variants, self.shape_id])

    @property
    def plan_row(self) -> PlanRow:
        return PlanRow(self.id, self.batch, self.prompt_len, self.output_len, self.traffic, self.asked)


@dataclass(frozen=True)
class Profile:
    """How much is measured: `launches` fresh workers a group, each of `rounds` rounds.

    `only_quick`: of the matrix only the rows marked quick. `time_scale`: users come in so much of their time, and stay
    for so much of it.
    """

    name: str
    launches: int
    rounds: int
    only_quick: bool = False
    time_scale: float = 1.0


@dataclass(frozen=True)
class Matrix:
    """A file of scenarios/: every scenario of one device; `model` is the one of rows that name none.

    `gpus`: how many GPUs each of its groups runs on, where `device` is "gpu".
    """

    device: Device
    model: str
    scenarios: tuple[Scenario, ...]
    profiles: tuple[Profile, ...]
    gpus: int = 1

    def profile(self, name: str) -> Profile:
        for profile in self.profiles:
            if profile.name == name:
                return profile
        raise InputError(unknown("profile", name, [profile.name for profile in self.profiles]))

    @property
    def selections(self) -> list[str]:
        """The names of all selections that have rows here."""
        return sorted({name for row in self.scenarios for name in row.selections})

    def rows(self, profile: str, selection: str | None = None) -> list[Scenario]:
        """The scenarios of a profile, in the order of the file. Raises InputError for an unknown name."""
        only_quick, scale = self.profile(profile).only_quick, self.profile(profile).time_scale
        if selection is not None and selection not in self.selections:
            raise InputError(unknown("selection", selection, self.selections))
        return [
            _hurried(row, scale)
            for row in self.scenarios
            if (row.quick or not only_quick) and (selection is None or selection in row.selections)
        ]

    def with_models(self, model_of: Callable[[str], str]) -> Matrix:
        """The same matrix with `model_of(shape)` as the model part of every id."""

        def renamed(row: Scenario) -> Scenario:
            return replace(row, group=replace(row.group, model=model_of(row.group.shape)))

        return replace(self, scenarios=tuple(renamed(row) for row in self.scenarios))


def _hurried(row: Scenario, scale: float) -> Scenario:
    """With users who come in `scale` of their time, and stay for as much of it."""
    users = row.traffic.users if row.traffic is not None else None
    if row.traffic is None or users is None or scale == 1:
        return row
    users = replace(users, spawn_per_s=users.spawn_per_s / scale, seconds=users.seconds * scale)
    return replace(row, traffic=replace(row.traffic, users=users))
