"""What to measure: scenarios, their ids, and the matrices in scenarios/*.toml that hold them.

A row of a matrix is written `batch x prompt_len -> output_len`, all in sequences and tokens: "8x5->50". A row of a
server is written with the concurrency for a batch: "c50x512->512".
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from tokgate.errors import InputError
from tokgate.generate.settings import batch_fault
from tokgate.metrics import metrics_of
from tokgate.plan import Api, Device, PlanRow, Prompts, Traffic, Users

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRECISIONS = ("fp32", "bf16", "fp16", "int8", "int4", "bnb4")
DEFAULT_GATED = ("output_throughput", "ttft")
SERVING_GATED = (*DEFAULT_GATED, "tpot")
SERVE = "serve"
# Of users two figures that do not hang together: how many are served, and how long each waits.
USERS_GATED = ("request_throughput", "e2el")
# Requests of a round for each that is open at once, unless the group says otherwise: the guide's 200 at 50.
_REQUESTS_PER_SLOT = 4
_SERVICE = "service"
_ROW = re.compile(r"(c?)(\d+)x(\d+)->(\d+)")


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
    prompts: Prompts = "random"

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
        return _SERVICE in self.settings

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

    A server's row has `traffic`, and `variants` that are the client's: one server is measured under all of them.
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

    @property
    def shape_id(self) -> str:
        return f"{'b' if self.traffic is None else 'c'}{self.batch}.p{self.prompt_len}.o{self.output_len}"

    @property
    def id(self) -> str:
        return ".".join([self.group.id, *self.variants, self.shape_id])

    @property
    def plan_row(self) -> PlanRow:
        return PlanRow(self.id, self.batch, self.prompt_len, self.output_len, self.traffic)


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
        raise InputError(_unknown("profile", name, [profile.name for profile in self.profiles]))

    def rows(self, profile: str, selection: str | None = None) -> list[Scenario]:
        """The scenarios of a profile, in the order of the file. Raises InputError for an unknown name."""
        only_quick, scale = self.profile(profile).only_quick, self.profile(profile).time_scale
        known = sorted({name for row in self.scenarios for name in row.selections})
        if selection is not None and selection not in known:
            raise InputError(_unknown("selection", selection, known))
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


class _Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    pass


class _Profile(_Strict, frozen=True):
    launches: int
    rounds: int
    only: Literal["quick"] | None = None
    time_scale: float = 1.0


class _Users(_Strict, frozen=True):
    spawn_per_s: float
    think_s: tuple[float, float]
    seconds: float


class _Variant(_Strict, frozen=True):
    engine: str | list[str]
    settings: dict[str, Any] = {}
    prompts: Prompts = "random"
    open_share: float | None = None
    both_clients: bool = False
    users: _Users | None = None
    api: Literal["completions", "chat"] | None = None
    stream: bool | None = None

    @property
    def engines(self) -> list[str]:
        return [self.engine] if isinstance(self.engine, str) else self.engine

    @property
    def is_traffic(self) -> bool:
        """Whether it changes what a load client does, and leaves the server as it is."""
        return not self.settings


class _Group(_Strict, frozen=True):
    engine: str
    precisions: list[str]
    rows: list[str]
    model: str | None = None
    variants: list[str] = []
    gated: tuple[str, ...] | None = None
    quick: list[str] = []
    num_prompts: int | None = None
    selections: tuple[str, ...] = ()
    weights: Literal["full", "skeleton"] = "full"


class _File(_Strict, frozen=True):
    device: Device
    model: str
    group: list[_Group]
    profiles: dict[str, _Profile]
    gpus: int = 1
    # Engine -> settings of all its groups, which a variant's go before.
    engines: dict[str, dict[str, Any]] = {}


def load_matrix(path: Path) -> Matrix:
    """Reads a matrix. Raises InputError, naming the place."""
    file = _read(path, _File)
    variants = _read(path.with_name("variants.toml"), dict[str, _Variant])
    _check_file(file, path)
    scenarios: list[Scenario] = []
    for number, group in enumerate(file.group, 1):
        place = f"{path}: group {number}"
        for row in _rows(group, place, file, variants):
            if any(row.id == other.id for other in scenarios):
                raise InputError(f"{place}: {row.id} stands twice")
            scenarios.append(row)
    profiles = tuple(_profile(name, value, path) for name, value in file.profiles.items())
    return Matrix(file.device, file.model, tuple(scenarios), profiles, file.gpus)


def _check_file(file: _File, path: Path) -> None:
    engines = sorted({group.engine for group in file.group})
    for name in file.engines:
        if name not in engines:
            raise InputError(f"{path}: engines: {_unknown('engine', name, engines)}")
    if file.gpus < 1 or (file.device == "cpu" and file.gpus > 1):
        raise InputError(f"{path}: gpus = {file.gpus} for device {file.device!r}; expected how many GPUs a group uses")


def _rows(group: _Group, place: str, file: _File, variants: dict[str, _Variant]) -> Iterator[Scenario]:
    _check_group(group, place, variants)
    settings = _settings(group, file, variants)
    serves = group.engine == SERVE or _SERVICE in settings
    # Of a server's variants those of the client leave it the same server.
    client = [name for name in group.variants if serves and variants[name].is_traffic]
    has_users = any(variants[name].users for name in group.variants)
    usual = USERS_GATED if has_users else SERVING_GATED if serves else DEFAULT_GATED
    gated = usual if group.gated is None else group.gated
    for precision in group.precisions:
        shape = group.model or file.model
        key = Group(
            shape,
            shape,
            group.engine,
            precision,
            tuple(name for name in group.variants if name not in client),
            settings,
            file.device,
            group.weights == "skeleton",
            "random" if serves else _prompts(group.variants, variants),
        )
        if file.device == "gpu" and key.gpus != file.gpus:
            raise InputError(
                f"{place}: it runs on {key.gpus} and the matrix has gpus = {file.gpus}; the machine's id counts the "
                "GPUs used, so a matrix is of one number of them"
            )
        for text in group.rows:
            batch, prompt_len, output_len = _parse_row(text, serves, place)
            if output_len == 1 and "tpot" in gated:
                raise InputError(f"{place}: row {text!r} has one output token, and so no tpot to gate")
            traffic = _traffic(group, client, variants, batch, place) if serves else None
            quick = text in group.quick
            yield Scenario(key, batch, prompt_len, output_len, gated, quick, group.selections, tuple(client), traffic)


def _check_group(group: _Group, place: str, variants: dict[str, _Variant]) -> None:
    services = [variants[name].settings.get(_SERVICE) for name in group.variants if name in variants]
    serves = group.engine == SERVE or any(services)
    known = [metric.name for metric in metrics_of(SERVE if serves else group.engine)]
    if group.weights == "skeleton" and group.engine not in ("vllm", SERVE):
        raise InputError(f"{place}: weights = 'skeleton' is for engine vllm; {group.engine} cannot fill them itself")
    if group.num_prompts is not None and group.engine != SERVE:
        raise InputError(f"{place}: num_prompts is for engine {SERVE}; of {group.engine} a round is one batch")
    for text in group.quick:
        if text not in group.rows:
            raise InputError(f"{place}: quick names {text!r}, which is not one of its rows")
    for metric in group.gated or ():
        if metric not in known:
            raise InputError(f"{place}: {_unknown('gated metric', metric, known)}")
    for precision in group.precisions:
        if precision not in PRECISIONS:
            raise InputError(f"{place}: {_unknown('precision', precision, list(PRECISIONS))}")
    for service in filter(None, services):
        for precision in group.precisions:
            if fault := batch_fault(group.engine, precision, service.get("batch", 1)):
                raise InputError(f"{place}: {fault}")
    for name in group.variants:
        if name not in variants:
            raise InputError(f"{place}: {_unknown('variant', name, list(variants))}")
        if group.engine not in variants[name].engines:
            engines = " and ".join(variants[name].engines)
            raise InputError(f"{place}: variant {name} is of engine {engines}, not {group.engine}")


def _settings(group: _Group, file: _File, variants: dict[str, _Variant]) -> dict[str, Any]:
    settings = dict(file.engines.get(group.engine, {}))
    for name in group.variants:
        settings |= variants[name].settings
    return settings


def _traffic(group: _Group, client: list[str], variants: dict[str, _Variant], concurrency: int, place: str) -> Traffic:
    requests = group.num_prompts or _REQUESTS_PER_SLOT * concurrency
    if requests < concurrency:
        raise InputError(f"{place}: num_prompts is {requests}; expected {concurrency} at least, as many as at once")
    prompts = _prompts(client, variants)
    if prompts == "mixed" and (concurrency % 2 or requests % concurrency):
        raise InputError(
            f"{place}: {requests} mixed prompts, {concurrency} at once: expected an even number at once, half of them "
            "long, and a multiple of it in all"
        )
    shares = [share for name in client if (share := variants[name].open_share) is not None]
    both = any(variants[name].both_clients for name in client)
    return Traffic(requests, prompts, shares[0] if shares else None, both, _users(group, variants, place))


def _users(group: _Group, variants: dict[str, _Variant], place: str) -> Users | None:
    """Those of a variant; what they ask, and whether they see it being written, may stand in another."""
    named = [variants[name] for name in group.variants]
    found = [variant.users for variant in named if variant.users]
    if not found:
        if group.engine != SERVE:
            raise InputError(f"{place}: a /generate service is measured by users; expected a variant with them")
        return None
    users = found[0]
    if users.spawn_per_s <= 0 or users.seconds <= 0 or not 0 <= users.think_s[0] <= users.think_s[1]:
        raise InputError(f"{place}: {users}: expected users to come, to stay, and to think for a while or not at all")
    if group.engine != SERVE:
        return Users("generate", False, users.spawn_per_s, users.think_s, users.seconds)
    api: Api = next((variant.api for variant in named if variant.api), "completions")
    stream = next((variant.stream for variant in named if variant.stream is not None), True)
    return Users(api, stream, users.spawn_per_s, users.think_s, users.seconds)


def _prompts(names: Iterable[str], variants: dict[str, _Variant]) -> Prompts:
    """Of these variants the one that says something else than the usual."""
    return next((variants[name].prompts for name in names if variants[name].prompts != "random"), "random")


def _parse_row(text: str, serves: bool, place: str) -> tuple[int, int, int]:
    match = _ROW.fullmatch(text)
    if not match or bool(match[1]) != serves:
        what, example = ("c concurrency", "c50x512->512") if serves else ("batch", "8x5->50")
        raise InputError(f"{place}: row {text!r}; expected '{what} x prompt_len -> output_len' such as '{example}'")
    batch, prompt_len, output_len = (int(part) for part in match.groups()[1:])
    if min(batch, prompt_len, output_len) < 1:
        raise InputError(
            f"{place}: row {text!r} holds a zero; {'concurrency' if serves else 'batch'} and lengths start at 1"
        )
    return batch, prompt_len, output_len


def _profile(name: str, value: _Profile, path: Path) -> Profile:
    if value.launches < 1 or value.rounds < 1:
        raise InputError(f"{path}: profile {name} needs at least one launch of one round")
    if not 0 < value.time_scale <= 1:
        raise InputError(f"{path}: profile {name} has time_scale {value.time_scale:g}; expected above 0 and at most 1")
    return Profile(name, value.launches, value.rounds, value.only == "quick", value.time_scale)


def _read(path: Path, kind: Any) -> Any:
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), kind)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}{_known_keys(str(error))}") from None


def _known_keys(message: str) -> str:
    """For an unknown key: the one that was probably meant."""
    found = re.search(r"unknown field `(\w+)`", message)
    if not found:
        return ""
    fields = [field for kind in (_File, _Group, _Profile, _Variant) for field in kind.__struct_fields__]
    close = difflib.get_close_matches(found[1], fields, 1)
    return f" (did you mean `{close[0]}`?)" if close else ""


def _unknown(what: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {what} {name!r}: {hint}known are {', '.join(known)}"
