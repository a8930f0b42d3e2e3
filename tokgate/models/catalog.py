"""scenarios/models/*.toml: the models that have a name."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tokgate.errors import InputError
from tokgate.models.shapes import ModelShape

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MODELS_DIR = Path(__file__).resolve().parents[2] / "scenarios" / "models"


@dataclass(frozen=True)
class Model:
    """A named model: its shape, whose name several models may share, and its place on the hub if it has one.

    Without a `revision` its weights are dummy ones: nothing is taken from the hub that is not pinned.
    """

    name: str
    shape_name: str
    shape: ModelShape
    hub_id: str | None
    revision: str | None


class _Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    pass


class _Config(_Strict, frozen=True):
    model_type: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    max_position_embeddings: int
    rope_theta: float
    rms_norm_eps: float
    tie_word_embeddings: bool
    head_dim: int | None = None
    sliding_window: int | None = None


class _File(_Strict, frozen=True):
    name: str
    hub_id: str | None = None
    revision: str | None = None
    shape: str | None = None
    config: _Config | None = None


def known_names(folder: Path = MODELS_DIR) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml"))


def load_model(name: str, folder: Path = MODELS_DIR) -> Model:
    """The model of that name. Raises InputError for an unknown name or a file that is not as it must be."""
    file = _read(name, folder)
    path = folder / f"{name}.toml"
    if (file.shape is None) == (file.config is None):
        raise InputError(f"{path}: give either a [config] or the `shape` of another model, and not both")
    if file.revision is not None and file.hub_id is None:
        raise InputError(f"{path}: a revision without a hub_id")
    if file.shape is None:
        config = file.config
    else:
        config = _read(file.shape, folder).config
        if config is None:
            raise InputError(f"{path}: shape {file.shape!r} has no [config] of its own; name the model that has")
    shape = ModelShape.from_config(msgspec.to_builtins(config), str(path))
    return Model(name, file.shape or name, shape, file.hub_id, file.revision)


def _read(name: str, folder: Path) -> _File:
    path = folder / f"{name}.toml"
    if name not in known_names(folder):
        raise InputError(f"unknown model {name!r}; known: {', '.join(known_names(folder))} (in {folder})")
    try:
        file = msgspec.convert(tomllib.loads(path.read_text()), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"{path}: {error}") from None
    if file.name != name:
        raise InputError(f"{path}: its name is {file.name!r}; expected {name!r}, as the file is called")
    return file
