"""Reads the matrices in scenarios/*.toml, and refuses what it does not understand.

A row of a matrix is written `batch x prompt_len -> output_len`, all in sequences and tokens: "8x5->50". A row of a
server is written with the concurrency for a batch: "c50x512->512".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tokgate.errors import InputError, unknown
from tokgate.generate.settings import batch_fault
from tokgate.given import check_values
from tokgate.matrix_keys import SAMPLING, GroupKeys, MatrixKeys, ProfileKeys, VariantKeys, read_toml
from tokgate.metrics import metrics_of
from tokgate.plan import Api, Asked, Prompts, Traffic, Users
from tokgate.scenario import (
    DEFAULT_GATED,
    PRECISIONS,
    SERVE,
    SERVICE,
    SERVING_GATED,
    USERS_GATED,
    Group,
    Matrix,
    Profile,
    Scenario,
)

# Requests of a round for each that is open at once, unless the group says otherwise: the guide's 200 at 50.
_REQUESTS_PER_SLOT = 4
_ROW = re.compile(r"(c?)(\d+)x(\d+)->(\d+)")


def load_matrix(path: Path) -> Matrix:
    """Reads a matrix. Raises InputError, naming the place."""
    file = read_toml(path, MatrixKeys)
    variants = read_toml(path.with_name("variants.toml"), dict[str, VariantKeys])
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


def _check_file(file: MatrixKeys, path: Path) -> None:
    engines = sorted({group.engine for group in file.group})
    for name in file.engines:
        if name not in engines:
            raise InputError(f"{path}: engines: {unknown('engine', name, engines)}")
    if file.gpus < 1 or (file.device == "cpu" and file.gpus > 1):
        raise InputError(f"{path}: gpus = {file.gpus} for device {file.device!r}; expected how many GPUs a group uses")


def _rows(group: GroupKeys, place: str, file: MatrixKeys, variants: dict[str, VariantKeys]) -> Iterator[Scenario]:
    _check_group(group, place, variants)
    named = {name: variants[name] for name in group.variants}
    settings = dict(file.engines.get(group.engine, {}))
    for variant in named.values():
        settings |= variant.settings
    check_values(settings, place)
    serves = group.engine == SERVE or SERVICE in settings
    # Those of the client leave a server the same server, and those of the requests an engine the same engine.
    of_rows = [name for name, each in named.items() if (each.is_traffic if serves else each.is_of_requests)]
    asked = Asked() if serves else _asked(group, settings, named, place)
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
            tuple(name for name in group.variants if name not in of_rows),
            settings,
            file.device,
            group.weights == "skeleton",
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
            yield Scenario(
                key,
                batch,
                prompt_len,
                output_len,
                gated,
                quick=text in group.quick,
                selections=group.selections,
                variants=tuple(of_rows),
                traffic=_traffic(group, of_rows, variants, batch, place) if serves else None,
                asked=asked,
            )


def _check_group(group: GroupKeys, place: str, variants: dict[str, VariantKeys]) -> None:
    services = [variants[name].settings.get(SERVICE) for name in group.variants if name in variants]
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
            raise InputError(f"{place}: {unknown('gated metric', metric, known)}")
    for precision in group.precisions:
        if precision not in PRECISIONS:
            raise InputError(f"{place}: {unknown('precision', precision, list(PRECISIONS))}")
    for service in filter(None, services):
        for precision in group.precisions:
            if fault := batch_fault(group.engine, precision, service.get("batch", 1)):
                raise InputError(f"{place}: {fault}")
    for name in group.variants:
        if name not in variants:
            raise InputError(f"{place}: {unknown('variant', name, list(variants))}")
        if group.engine not in variants[name].engines:
            engines = " and ".join(variants[name].engines)
            raise InputError(f"{place}: variant {name} is of engine {engines}, not {group.engine}")


def _asked(group: GroupKeys, settings: dict[str, Any], variants: dict[str, VariantKeys], place: str) -> Asked:
    """What goes with each request, which is taken out of the settings."""
    sampling, prompts = settings.pop(SAMPLING, {}), _prompts(variants, variants)
    if not isinstance(sampling, dict) or (sampling and group.engine != "vllm"):
        raise InputError(f"{place}: {SAMPLING} = {sampling!r} of {group.engine}; expected a table, and engine vllm")
    if prompts == "mixed":
        raise InputError(f"{place}: mixed prompts are a server's; those of an offline batch have one length")
    return Asked(prompts, sampling)


def _traffic(
    group: GroupKeys, client: list[str], variants: dict[str, VariantKeys], concurrency: int, place: str
) -> Traffic:
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


def _users(group: GroupKeys, variants: dict[str, VariantKeys], place: str) -> Users | None:
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


def _prompts(names: Iterable[str], variants: dict[str, VariantKeys]) -> Prompts:
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


def _profile(name: str, value: ProfileKeys, path: Path) -> Profile:
    if value.launches < 1 or value.rounds < 1:
        raise InputError(f"{path}: profile {name} needs at least one launch of one round")
    if not 0 < value.time_scale <= 1:
        raise InputError(f"{path}: profile {name} has time_scale {value.time_scale:g}; expected above 0 and at most 1")
    return Profile(name, value.launches, value.rounds, value.only == "quick", value.time_scale)
