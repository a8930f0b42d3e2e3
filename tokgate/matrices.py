"""From a file of scenarios/ and a model to the rows to measure, with the ids of the weights in use."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from tokgate.errors import InputError
from tokgate.matrix_file import load_matrix
from tokgate.models.source import ModelSource, resolve
from tokgate.scenario import Matrix, Scenario
from tokgate.serving.remote import Remote
from tokgate.serving.workload import model_part
from tokgate.session import check_slug

SCENARIOS_DIR = Path(__file__).resolve().parents[1] / "scenarios"


def open_matrix(file: str, model: str, sources: dict[str, ModelSource], called: str = "--model") -> Matrix:
    """The matrix in scenarios/<file>; the weights of its models are looked up once and kept in `sources`, by shape.

    `called`: the option that gave `model`. Raises InputError for an unknown name.
    """
    matrix = load_matrix(SCENARIOS_DIR / file)
    if model not in ("auto", "dummy"):
        # Who names one model wants that one measured, and not a 7B beside it.
        own = tuple(row for row in matrix.scenarios if row.group.shape == matrix.model)
        matrix = replace(matrix, scenarios=own)
    for row in matrix.scenarios:
        if row.group.shape not in sources:
            sources[row.group.shape] = resolve(model, row.group.shape, allow_network=True, called=called)
    return matrix.with_models(lambda shape: sources[shape].model_id)


def remote_matrix(matrix: Matrix, remote: Remote) -> Matrix:
    """Of a serving matrix the rows that a server elsewhere can be measured by: those at default settings.

    They bear the name of its model. What precision it computes in is not known: that of the matrix's first rows is
    taken. Raises InputError where the matrix has no such row.
    """
    plain = [row for row in matrix.scenarios if row.group.serves and not row.group.variants and _is_ours(row)]
    if not plain:
        raise InputError(
            "--perf-base-url is for serving rows at default settings, and this matrix has none: take -m serving"
        )
    own = [row for row in plain if row.group == plain[0].group]
    rows = replace(matrix, scenarios=tuple(own))
    name = check_slug("the served model's name", re.sub(r"[^a-z0-9._-]", "-", model_part(remote.model)))
    return rows.with_models(lambda shape: name)


def _is_ours(row: Scenario) -> bool:
    """Whether the load client alone sends it; vllm bench serve wants the model's tokenizer."""
    return row.traffic is None or not row.traffic.both_clients
