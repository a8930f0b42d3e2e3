"""The winner as something to use: a `vllm serve` command, and a scenario that a matrix reader accepts."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from tokgate.engine_settings import engine_settings
from tokgate.serving.vllm_server import NOT_FLAGS, flags
from tokgate.sweep.candidates import Candidate, Opened, write_matrix
from tokgate.sweep.file import Sweep

# Of dummy weights, and of no deployment.
_DUMMY_ONLY = ("load_format",)


@dataclass(frozen=True)
class Winner:
    """`command`: as a shell takes it, "" where the engine has no server; `note`: what MODEL in it is.

    `matrix`, `variants`: the scenario's files; `scenario`: its id there.
    """

    candidate: Candidate
    command: str
    note: str
    matrix: Path
    variants: Path
    scenario: str


def write_winner(sweep: Sweep, opened: Opened, candidate: Candidate, folder: Path) -> Winner:
    """Writes the scenario into `folder`, with the variant NAME-best that the matrix names."""
    folder.mkdir(parents=True, exist_ok=True)
    matrix = (folder / f"{sweep.name}.toml").resolve()
    # Dots divide the parts of an id, and of a table's name in TOML.
    name = f"{sweep.name.replace('.', '-')}-best"
    write_matrix(sweep, [candidate.number - 1], matrix, name)
    scenario = candidate.scenario
    group = scenario.group
    variants = [name if each.startswith("set") else each for each in (*group.variants, *scenario.variants)]
    scenario_id = ".".join([group.model, group.engine, group.precision, *variants, scenario.shape_id])
    command, note = ("", "") if group.engine != "serve" else _command(opened, candidate)
    return Winner(candidate, command, note, matrix, matrix.with_name("variants.toml"), scenario_id)


def _command(opened: Opened, candidate: Candidate) -> tuple[str, str]:
    """`vllm serve` with the settings that were measured, and what is to be known of its model."""
    group = candidate.scenario.group
    source = opened.sources[group.shape]
    settings = {
        name: value
        for name, value in engine_settings(group, source).items()
        if name not in NOT_FLAGS and (source.real_weights or name not in _DUMMY_ONLY)
    }
    quantised = group.precision in ("int8", "int4")
    model, note = "MODEL", f"MODEL: {source.model_id.removesuffix('-dummy')}"
    if source.kind == "hub" and not quantised:
        model, note = str(source.hub_id), f"measured at revision {source.revision}"
    elif quantised:
        note += f", its weights quantised to {group.precision.upper()} (compressed-tensors)"
    if not source.real_weights:
        note += "; measured with dummy weights of its shape"
    environment = [f"{name}={shlex.quote(str(value))}" for name, value in group.settings.get("environment", {}).items()]
    return " ".join([*environment, shlex.join(["vllm", "serve", model, *flags(settings)])]), note
