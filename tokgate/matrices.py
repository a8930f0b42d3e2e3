"""From a file of scenarios/ and --perf-model to the rows to measure, with the ids of the weights in use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tokgate.errors import InputError
from tokgate.models.source import ModelSource, resolve
from tokgate.scenario import Matrix, Scenario, load_matrix

SCENARIOS_DIR = Path(__file__).resolve().parents[1] / "scenarios"


def open_matrix(file: str, model: str, profile: str, sources: dict[str, ModelSource]) -> Matrix:
    """The matrix in scenarios/<file>; the weights of its models are looked up once and kept in `sources`, by shape.

    Raises InputError for an unknown name, or a row that the model's context cannot hold.
    """
    matrix = load_matrix(SCENARIOS_DIR / file)
    if model not in ("auto", "dummy"):
        # Who names one model wants that one measured, and not a 7B beside it.
        own = tuple(row for row in matrix.scenarios if row.group.shape == matrix.model)
        matrix = replace(matrix, scenarios=own)
    for row in matrix.scenarios:
        if row.group.shape not in sources:
            sources[row.group.shape] = resolve(model, row.group.shape, allow_network=True)
    matrix = matrix.with_models(lambda shape: sources[shape].model_id)
    for row in matrix.rows(profile):
        _check_context(row, sources[row.group.shape])
    return matrix


def _check_context(row: Scenario, source: ModelSource) -> None:
    tokens = row.prompt_len + row.output_len
    if tokens > source.max_context:
        raise InputError(
            f"{row.id} cannot be measured: {row.prompt_len} prompt and {row.output_len} output tokens make "
            f"{tokens}; the context of {source.model_id} ends at {source.max_context}"
        )
