"""What an engine loads, built once: a checkpoint, its FP32 ONNX graph, that graph in INT8, its weights rounded.

Each is an entry of the cache, named by a hash over everything that determines it, and made by child
processes, one a step, so that their peaks do not add and no engine comes into this process.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tokgate import accuracy
from tokgate.errors import InputError
from tokgate.machine.memory import available_bytes
from tokgate.models import fit, hub
from tokgate.models.cache import MANIFEST, Cache, Meta, Report
from tokgate.models.source import ModelSource
from tokgate.models.steps import Steps

# Version of how artifacts are built; raise it when a change here or in a step changes what comes out.
RECIPE = 1

# Presets of optimum's quantiser, by the instructions they are for.
ISAS = ("avx512_vnni", "avx512", "avx2", "arm64")
_VERSIONS = {
    "checkpoint": ("torch", "transformers"),
    "onnx-fp32": ("torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime"),
    "onnx-int8": ("torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime"),
    **dict.fromkeys(("vllm-int8", "vllm-int4", *fit.SKELETONS.values()), ("torch", "transformers")),
    **dict.fromkeys(
        ("genai-fp32", "genai-int8", "genai-int4"),
        ("torch", "transformers", "onnxruntime-genai", "onnx", "onnx-ir", "onnxruntime"),
    ),
}
# Written into the folder of an artifact: a link of that name would lead the writing astray.
_OURS = (MANIFEST, accuracy.FILE_NAME)


@dataclass(frozen=True)
class Artifact:
    """A folder an engine loads: config.json, weights or graph, reference.npz; of a skeleton the first alone.

    `meta`: kind, identity, real_weights, versions, vocab_size, max_context, parameters, size_bytes, seconds,
    steps ({name, seconds, peak_rss_bytes} each, of this kind and those it was made from), and for a graph
    `accuracy`: how far its logits are from transformers' in FP32 (an accuracy.Distance as a dict).
    """

    path: Path
    kind: str
    meta: Meta


def ensure(
    source: ModelSource,
    engine: str,
    precision: str,
    cache_root: Path,
    python: str,
    isa: str,
    report: Report,
    available_bytes: int | None = None,
    *,
    skeleton: bool = False,
) -> Artifact:
    """The artifact for `engine` at `precision`, built by `python` if it is not in the cache.

    `isa` is one of ISAS; `report` is told of each step; `skeleton`: without weights. Raises InputError if the model
    cannot be built like this, or memory or disk is too small, MeasurementError if a step fails.
    """
    kind = _kind(engine, precision, isa, skeleton)
    builder = _Builder(source, Cache(cache_root), python, isa, report, available_bytes, versions(python))
    return builder.get(kind)


def to_build(
    source: ModelSource,
    engine: str,
    precision: str,
    cache_root: Path,
    isa: str,
    python: str = sys.executable,
    *,
    skeleton: bool = False,
) -> str | None:
    """The kind that `ensure` would build; None where it would return at once."""
    kind = _kind(engine, precision, isa, skeleton)
    found = Cache(cache_root).find(entry_name(source, kind, isa, versions(python)))
    return kind if found is None else None


def entry_name(source: ModelSource, kind: str, isa: str, versions: dict[str, str]) -> str:
    """The name of the cache entry: readable, and unique to everything that determines it."""
    key = {
        "identity": source.identity,
        "kind": kind,
        "recipe": RECIPE,
        "max_context": source.max_context,
        "versions": {name: versions[name] for name in _VERSIONS[kind]},
        "isa": isa if kind == "onnx-int8" else None,
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return f"{source.slug}.{kind}.{digest[:16]}"


@dataclass(frozen=True)
class _Builder:
    source: ModelSource
    cache: Cache
    python: str
    isa: str
    report: Report
    available_bytes: int | None
    versions: dict[str, str]

    def get(self, kind: str) -> Artifact:
        name = entry_name(self.source, kind, self.isa, self.versions)
        entry = self.cache.find(name)
        if entry is None:
            parent_kind = fit.PARENTS[kind]
            parent = self.get(parent_kind) if parent_kind else None
            entry = self.cache.get(name, lambda partial: self._build(kind, parent, name, partial), self.report)
        return Artifact(entry.path, kind, entry.meta)

    def _build(self, kind: str, parent: Artifact | None, name: str, partial: Path) -> Meta:
        self._check_room(kind)
        self.report(f"building {name} in {self.cache.root}")
        steps = Steps(partial, self.python, kind, name, self.source.model_id, self.report)
        started = time.monotonic()
        measured = self._made(steps, kind, parent)
        shutil.rmtree(steps.scratch)
        seconds = time.monotonic() - started
        size_bytes = sum(file.stat().st_size for file in partial.rglob("*") if file.is_file())
        peak = max(step["peak_rss_bytes"] for step in steps.done)
        self.report(f"built {name}: {seconds:.0f} s, peak {fit.gb(peak)} of memory, {fit.gb(size_bytes)} on disk")
        return {
            "kind": kind,
            "identity": self.source.identity,
            "real_weights": self.source.real_weights,
            "versions": {package: self.versions[package] for package in _VERSIONS[kind]},
            "vocab_size": self.source.vocab_size,
            "max_context": self.source.max_context,
            "parameters": self.source.shape.parameters,
            "size_bytes": size_bytes,
            "seconds": round(seconds + (parent.meta["seconds"] if parent else 0.0), 1),
            "steps": [*(parent.meta["steps"] if parent else []), *steps.done],
            **measured,
        }

    def _made(self, steps: Steps, kind: str, parent: Artifact | None) -> Meta:
        """Makes the content, and returns what is worth noting of it."""
        engine, _, precision = kind.partition("-")
        if engine == "checkpoint":
            return self._checkpoint(steps)
        if engine == "skeleton":
            steps.run("skeleton", shape=asdict(self.source.shape), out=str(steps.folder), precision=precision)
            return {}
        assert parent is not None
        _link_or_copy(parent.path / accuracy.FILE_NAME, steps.folder / accuracy.FILE_NAME)
        if engine == "vllm":
            steps.run("compress", checkpoint=str(parent.path), out=str(steps.folder), precision=precision)
            return {}
        shutil.copy(parent.path / "config.json", steps.folder)
        if engine == "genai":
            return self._genai(steps, parent, precision)
        return self._fp32(steps, parent) if precision == "fp32" else self._int8(steps, parent)

    def _checkpoint(self, steps: Steps) -> Meta:
        source = self.source
        if source.kind == "dummy":
            steps.run("dummy", shape=asdict(source.shape), seed=source.seed, out=str(steps.folder))
        else:
            _link_files(source.path or self._download(steps), steps.folder)
        return steps.run("reference", checkpoint=str(steps.folder), out=str(steps.folder))

    def _download(self, steps: Steps) -> Path:
        cache = str(self.source.cache) if self.source.cache else None
        meta = steps.run("download", hub_id=self.source.hub_id, revision=self.source.revision, cache=cache)
        return Path(meta["path"])

    def _fp32(self, steps: Steps, checkpoint: Artifact) -> Meta:
        exported = str(steps.scratch / "exported")
        steps.run("export", checkpoint=str(checkpoint.path), out=exported)
        steps.run("graph", exported=exported, out=str(steps.folder), max_context=self.source.max_context)
        shutil.rmtree(exported)
        return {"accuracy": steps.run("check", folder=str(steps.folder), exact=True)}

    def _int8(self, steps: Steps, fp32: Artifact) -> Meta:
        steps.run("quantize", graph=str(fp32.path), out=str(steps.folder), isa=self.isa)
        distance = steps.run("check", folder=str(steps.folder), exact=False)
        return {"isa": self.isa, "accuracy": distance, "fp32_accuracy": fp32.meta["accuracy"]}

    def _genai(self, steps: Steps, checkpoint: Artifact, precision: str) -> Meta:
        steps.run("genai", checkpoint=str(checkpoint.path), out=str(steps.folder), precision=precision)
        exact = precision == "fp32"
        return {"accuracy": steps.run("check", folder=str(steps.folder), exact=exact, engine="genai")}

    def _check_room(self, kind: str) -> None:
        shape = self.source.shape
        available = available_bytes() if self.available_bytes is None else self.available_bytes
        too_much = fit.exceeds(fit.build_bytes(shape, kind), available)
        if too_much:
            raise InputError(f"{self.source.model_id}: not enough memory: {too_much}")
        free = shutil.disk_usage(self.cache.root).free
        too_much = fit.exceeds(fit.disk_bytes(shape, kind), free)
        if too_much:
            raise InputError(f"{self.source.model_id}: not enough disk in {self.cache.root}: {too_much}")


def _kind(engine: str, precision: str, isa: str, skeleton: bool) -> str:
    kinds = fit.SKELETONS if skeleton else fit.KINDS
    if isa not in ISAS:
        raise InputError(f"unknown instruction set {isa!r}; expected one of {', '.join(ISAS)}")
    if (engine, precision) not in kinds:
        known = ", ".join(" ".join(pair) for pair in kinds)
        what = "model without weights" if skeleton else "model"
        raise InputError(f"no {what} can be built for engine {engine} at {precision}; expected one of: {known}")
    return kinds[engine, precision]


@cache
def versions(python: str) -> dict[str, str]:
    """Versions of the packages that determine an artifact, as `python` sees them. Raises InputError."""
    packages = sorted({package for names in _VERSIONS.values() for package in names})
    if python == sys.executable:
        return {package: _version_here(package) for package in packages}
    code = (
        "import sys, json\nfrom importlib.metadata import version, PackageNotFoundError\n"
        "def v(p):\n try: return version(p)\n except PackageNotFoundError: return 'none'\n"
        "print(json.dumps({p: v(p) for p in sys.argv[1:]}))"
    )
    try:
        output = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True, check=True)
        found: dict[str, str] = json.loads(output.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise InputError(f"{python} is no usable Python: {error}") from None
    return found


def _version_here(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _link_files(model: Path, folder: Path) -> None:
    """Links the files of a snapshot or a local model that a loader may read; weights are not copied."""
    for pattern in hub.ALLOWED_FILES:
        for file in model.glob(pattern):
            if file.is_file() and file.name not in _OURS and not (folder / file.name).is_symlink():
                (folder / file.name).symlink_to(file.resolve())


def _link_or_copy(original: Path, target: Path) -> None:
    try:
        os.link(original, target)
    except OSError:
        shutil.copy(original, target)
