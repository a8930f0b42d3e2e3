"""The settings of a sweep as scenarios: each is written as a group of a matrix, and read as any matrix is.

So what a sweep measures is what a test run would, and the winner is a scenario by construction.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokgate import tomltext
from tokgate.engine_settings import engine_settings
from tokgate.errors import InputError
from tokgate.given import beyond_context
from tokgate.matrices import SCENARIOS_DIR, open_matrix
from tokgate.models.source import ModelSource
from tokgate.scenario import Matrix, Scenario
from tokgate.sweep import grid
from tokgate.sweep.file import BATCH, CONCURRENCY, PRECISION, Sweep

PROFILE = "sweep"
_NOT_SETTINGS = (PRECISION, BATCH, CONCURRENCY)
_AT_ONCE = re.compile(r"\d+")


@dataclass(frozen=True)
class Candidate:
    """One setting of the sweep. `number` counts from 1; `label`: what it has that not all have."""

    number: int
    label: str
    choice: Mapping[str, Any]
    scenario: Scenario

    def __str__(self) -> str:
        return f"#{self.number} {self.label}"


@dataclass(frozen=True)
class Opened:
    """The settings as a matrix, the weights by shape, and the candidates in the order of the file."""

    matrix: Matrix
    sources: dict[str, ModelSource]
    candidates: tuple[Candidate, ...]

    @property
    def source(self) -> ModelSource:
        return self.sources[self.candidates[0].scenario.group.shape]


def open_candidates(sweep: Sweep, model: str) -> Opened:
    """`model` as --model has it. Raises InputError for what no matrix may hold, or a row that no context holds."""
    sources: dict[str, ModelSource] = {}
    with tempfile.TemporaryDirectory(prefix="tokgate-sweep-") as folder:
        path = Path(folder) / "matrix.toml"
        write_matrix(sweep, range(len(sweep.choices)), path)
        try:
            matrix = open_matrix(str(path), model, sources)
        except InputError as error:
            raise InputError(str(error).replace(f"{path}: group", f"{sweep.path}: setting").replace(
                str(path), str(sweep.path))) from None  # fmt: skip
    rows = matrix.rows(PROFILE)
    for row in rows:
        source = sources[row.group.shape]
        if fault := beyond_context(row, engine_settings(row.group, source), source):
            raise InputError(f"{row.id} cannot be measured: {fault}")
    names = [name for each in sweep.spec.grid for name in each]
    found = zip(sweep.choices, grid.labels(sweep.choices, names), rows, strict=True)
    candidates = tuple(Candidate(number, label, choice, row) for number, (choice, label, row) in enumerate(found, 1))
    return Opened(matrix, sources, candidates)


def write_matrix(sweep: Sweep, places: Sequence[int], path: Path, name: str = "") -> None:
    """The choices at `places` as a matrix at `path`, and the variants that it needs beside it.

    `name`: the variant's, of one choice.
    """
    spec = sweep.spec
    head = {"device": spec.device, "model": spec.model, **({"gpus": spec.gpus} if spec.gpus != 1 else {})}
    lines = [f"{key} = {tomltext.value(value)}" for key, value in head.items()]
    parts = ["\n".join([*lines, ""]),
             tomltext.table(f"profiles.{PROFILE}", {"launches": spec.launches, "rounds": spec.rounds})]  # fmt: skip
    own: dict[str, dict[str, Any]] = {}
    for place in places:
        parts.append(tomltext.table("[group]", _group(sweep, sweep.choices[place], own, name)))
    path.write_text("\n".join(parts), "utf-8")
    variants = [tomltext.table(variant, {"engine": spec.engine, "settings": each}) for variant, each in own.items()]
    known = (SCENARIOS_DIR / "variants.toml").read_text("utf-8")
    path.with_name("variants.toml").write_text("\n".join([known, *variants]), "utf-8")


def settings_of(sweep: Sweep, choice: Mapping[str, Any]) -> dict[str, Any]:
    """The engine's settings of a choice, with those that all have."""
    return {**sweep.spec.settings, **{key: value for key, value in choice.items() if key not in _NOT_SETTINGS}}


def _group(sweep: Sweep, choice: Mapping[str, Any], own: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """A group of the matrix; its settings become a variant in `own`, the same ones one variant."""
    spec = sweep.spec
    settings = settings_of(sweep, choice)
    variants = list(spec.variants)
    if settings:
        same = [variant for variant, each in own.items() if grid.identity(each) == grid.identity(settings)]
        variant = same[0] if same else name or f"set{len(own) + 1}"
        own[variant] = settings
        variants.append(variant)
    row = spec.row if sweep.at_once not in choice else _AT_ONCE.sub(str(choice[sweep.at_once]), spec.row, count=1)
    return {
        "engine": spec.engine,
        "precisions": [choice.get(PRECISION, spec.precision)],
        "variants": variants,
        "rows": [row],
        **({"num_prompts": spec.num_prompts} if spec.num_prompts is not None else {}),
        **({"weights": spec.weights} if spec.weights != "full" else {}),
    }
