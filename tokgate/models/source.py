"""--model, of pytest --perf-model: where the weights come from, and what is known of them before any is loaded."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from tokgate.errors import InputError
from tokgate.models import hub
from tokgate.models.catalog import MODELS_DIR, Model, known_names, load_model
from tokgate.models.shapes import ModelShape

# Version of the dummy weights and tokenizer: what dummy.py makes for a shape and a seed.
#   2  a tokenizer that transformers 5 reads as transformers 4 does
DUMMY_RECIPE = 2
DUMMY_SEED = 0

_REVISION = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class ModelSource:
    """Where the weights come from. `model_id` is the model part of scenario ids; `note` says what was chosen.

    `slug` names its cache entries: models that share a shape share their dummy weights. `path` is the folder
    of a local model or of a cached snapshot; `cache` the hub's cache if not the default one.
    """

    kind: Literal["hub", "local", "dummy"]
    model_id: str
    slug: str
    shape: ModelShape
    note: str
    hub_id: str | None = None
    revision: str | None = None
    path: Path | None = None
    cache: Path | None = None
    seed: int = DUMMY_SEED

    @property
    def real_weights(self) -> bool:
        return self.kind != "dummy"

    @property
    def vocab_size(self) -> int:
        return self.shape.vocab_size

    @property
    def max_context(self) -> int:
        """Prompt and output tokens a sequence may have."""
        return self.shape.max_context

    @cached_property
    def identity(self) -> str:
        """Determines the weights. A local model is read whole for it (1 s a GB), when first asked for."""
        if self.kind == "hub":
            return f"{self.hub_id}@{self.revision}"
        if self.kind == "local":
            assert self.path is not None
            return f"sha256:{_content_hash(self.path)}"
        recipe = {"shape": asdict(self.shape), "seed": self.seed, "recipe": DUMMY_RECIPE}
        return f"dummy:{hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()}"


def resolve(
    option: str,
    model: str,
    *,
    folder: Path = MODELS_DIR,
    allow_network: bool = False,
    hub_cache: Path | None = None,
    called: str = "--model",
) -> ModelSource:
    """The weights that `--model option` means for a row of the named `model`.

    `auto`: the hub's snapshot where `model` pins one that is cached or, with `allow_network`, reachable;
    else dummy weights. `dummy`: dummy weights of `model`. `NAME` or `dummy:NAME`: those of that
    name, whatever the row. `ORG/NAME@REVISION`: the hub's snapshot. A folder: the model in it.

    Raises InputError for anything else, by the name that its user knows the option by: `called`.
    """
    if option == "auto":
        return _auto(load_model(model, folder), allow_network, hub_cache)
    if option == "dummy":
        return _dummy(load_model(model, folder), "asked for")
    name = option.removeprefix("dummy:")
    if name != option or name in known_names(folder):
        return _dummy(load_model(name, folder), "asked for")
    if "@" in option:
        return _pinned(option, folder, allow_network, hub_cache, called)
    if Path(option).expanduser().is_dir():
        return _local(Path(option).expanduser().resolve(), called)
    raise InputError(_misunderstood(option, folder, called))


def _auto(model: Model, allow_network: bool, cache: Path | None) -> ModelSource:
    if model.hub_id is None or model.revision is None:
        return _dummy(model, "auto: scenarios/models/ pins no revision of it")
    place = f"{model.hub_id}@{model.revision[:7]}"
    path = hub.cached_snapshot(model.hub_id, model.revision, cache)
    if path is not None:
        return _hub(model.hub_id, model.revision, _shape_in(path), path, cache, f"auto: {place} is in the hub's cache")
    if allow_network and hub.is_reachable(model.hub_id, model.revision):
        note = f"auto: {place} can be had from the hub and will be downloaded"
        return _hub(model.hub_id, model.revision, model.shape, None, cache, note)
    why = "the hub does not answer" if allow_network else "the network was not asked"
    return _dummy(model, f"auto: {place} is not in the hub's cache and {why}")


def _dummy(model: Model, why: str) -> ModelSource:
    return ModelSource(
        kind="dummy",
        model_id=f"{model.name}-dummy",
        slug=f"{model.shape_name}-dummy",
        shape=model.shape,
        note=f"dummy weights in the shape of {model.shape_name} ({why})",
    )


def _pinned(option: str, folder: Path, allow_network: bool, cache: Path | None, called: str) -> ModelSource:
    hub_id, _, revision = option.partition("@")
    if not _HUB_ID.fullmatch(hub_id):
        raise InputError(f"{called} {option!r}: {hub_id!r} is no hub id; expected ORG/NAME@REVISION")
    if not _REVISION.fullmatch(revision):
        raise InputError(
            f"{called} {option!r}: revision {revision!r} is not 40 lower-case hex digits; a branch "
            f"or a tag can move: take the commit's full hash from https://huggingface.co/{hub_id}/commits/main"
        )
    path = hub.cached_snapshot(hub_id, revision, cache)
    if path is not None:
        return _hub(hub_id, revision, _shape_in(path), path, cache, f"{option} from the hub's cache")
    if not allow_network:
        shape = next((m.shape for m in _all(folder) if (m.hub_id, m.revision) == (hub_id, revision)), None)
        if shape is None:
            raise InputError(
                f"{called} {option}: not in the hub's cache, and the network was not asked; download it "
                f"first, or take {called} dummy"
            )
    else:
        shape = ModelShape.from_config(hub.fetch_config(hub_id, revision, cache, called), option)
    return _hub(hub_id, revision, shape, None, cache, f"{option}, to be downloaded from the hub")


def _hub(
    hub_id: str, revision: str, shape: ModelShape, path: Path | None, cache: Path | None, note: str
) -> ModelSource:
    slug = _slug(hub_id.split("/")[1])
    return ModelSource("hub", slug, slug, shape, note, hub_id=hub_id, revision=revision, path=path, cache=cache)


def _local(path: Path, called: str) -> ModelSource:
    if not (path / "config.json").is_file():
        raise InputError(f"{called} {path}: no config.json there; expected a folder as transformers saves it")
    if not any(path.glob("*.safetensors")):
        pickled = sorted(p.name for pattern in ("*.bin", "*.pt", "*.pth") for p in path.glob(pattern))
        seen = f"only pickled weights ({', '.join(pickled[:3])})" if pickled else "no weights"
        raise InputError(
            f"{called} {path}: {seen}; expected *.safetensors. Pickled weights are never loaded, since "
            "they can run code: save the model again with save_pretrained(..., safe_serialization=True)"
        )
    slug = _slug(path.name)
    return ModelSource("local", slug, slug, _shape_in(path), f"the model in {path}", path=path)


def _shape_in(path: Path) -> ModelShape:
    file = path / "config.json"
    try:
        config = json.loads(file.read_text())
    except ValueError as error:
        raise InputError(f"{file}: not JSON: {error}") from None
    if not isinstance(config, dict):
        raise InputError(f"{file}: expected a JSON object")
    return ModelShape.from_config(config, str(file))


def _all(folder: Path) -> list[Model]:
    return [load_model(name, folder) for name in known_names(folder)]


def _slug(name: str) -> str:
    """`name` as it can stand in a scenario id: lower case, no dot at an end."""
    return re.sub(r"[^a-z0-9._-]+|\.\.+", "-", name.lower()).strip("-._") or "model"


def _content_hash(path: Path) -> str:
    digest = hashlib.sha256()
    files = sorted({file for pattern in hub.ALLOWED_FILES for file in path.glob(pattern) if file.is_file()})
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while block := content.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def _misunderstood(option: str, folder: Path, called: str) -> str:
    pinned = next((m for m in _all(folder) if m.hub_id == option and m.revision), None)
    if pinned:
        return f"{called} {option!r}: a hub id needs a revision: {option}@{pinned.revision}"
    if _HUB_ID.fullmatch(option):
        return (
            f"{called} {option!r}: no folder of that name, and a hub id needs a revision: "
            f"{option}@REVISION, the commit's 40 hexadecimal digits"
        )
    return (
        f"{called} {option!r} is unknown; expected auto, dummy, one of {', '.join(known_names(folder))}, "
        "ORG/NAME@REVISION, or a folder"
    )
