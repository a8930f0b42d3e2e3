"""Export by optimum, and the rewriting of its graph for decoding with the cache in place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokgate.models.shapes import ModelShape

GRAPH_FILE = "model.onnx"
DATA_FILE = "model.onnx_data"


def export(emit: Callable[[dict[str, Any]], None], checkpoint: str, out: str) -> dict[str, Any]:
    """A step of a build: text generation with past, FP32. Raises InputError for an architecture not known."""
    from optimum.exporters.onnx import main_export

    from tokgate.models.onnx_graph import check_supported

    check_supported(_shape(checkpoint))
    emit({"event": "step", "name": "export", "detail": "optimum, text generation with past, FP32"})
    main_export(
        checkpoint,
        out,
        task="text-generation-with-past",
        dtype="fp32",
        device="cpu",
        do_validation=False,  # checked end to end after the rewriting, against transformers
        local_files_only=True,
        trust_remote_code=False,
    )
    return {}


def rewrite(emit: Callable[[dict[str, Any]], None], exported: str, out: str, max_context: int) -> dict[str, Any]:
    """A step of a build: the exported graph with GroupQueryAttention, and logits of the last position."""
    import onnx

    from tokgate.models.onnx_graph import rewrite_for_decoding

    emit({"event": "step", "name": "graph", "detail": "attention with the cache in place, last logits only"})
    model = onnx.load(str(Path(exported) / GRAPH_FILE))
    rewrite_for_decoding(model, _shape(exported), max_context)
    onnx.save(
        model,
        str(Path(out) / GRAPH_FILE),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=DATA_FILE,
    )
    return {}


def _shape(folder: str) -> ModelShape:
    path = Path(folder) / "config.json"
    return ModelShape.from_config(json.loads(path.read_text()), str(path))
