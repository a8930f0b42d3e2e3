"""INT8 by optimum's ORTQuantizer: dynamic, weights a tensor at a time, activations as they come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokgate.models.onnx_export import GRAPH_FILE


def quantize(emit: Callable[[dict[str, Any]], None], graph: str, out: str, isa: str) -> dict[str, Any]:
    """A step of a build: the graph in folder `graph` in INT8, with optimum's preset for `isa`."""
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    emit({"event": "step", "name": "quantize", "detail": f"dynamic INT8, preset {isa}"})
    preset = getattr(AutoQuantizationConfig, isa)(is_static=False, per_channel=False)
    quantizer = ORTQuantizer.from_pretrained(Path(graph), file_name=GRAPH_FILE)
    quantizer.quantize(save_dir=out, quantization_config=preset, file_suffix="", use_external_data_format=True)
    return {}
