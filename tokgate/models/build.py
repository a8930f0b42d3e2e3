"""A child process that does one step of a build: `PYTHON -m tokgate.models.build REQUEST.json`.

The request is {"step": name, "arguments": {...}}. Events, a JSON object a line:
{"event": "step", "name", "detail"}, then {"event": "done", "meta", "peak_rss_bytes"}, or
{"event": "error", "message", "input_error"} and exit status 1.
"""

from __future__ import annotations

import json
import sys
import traceback
from importlib import import_module
from pathlib import Path

from tokgate.child import child_events
from tokgate.errors import InputError
from tokgate.machine.memory import peak_rss_bytes
from tokgate.models.hub import scrub

# Step -> module:function, called with (emit, **arguments) and returning what is worth noting.
STEPS = {
    "download": "tokgate.models.hub:download",
    "dummy": "tokgate.models.dummy:write",
    "skeleton": "tokgate.models.dummy:write_skeleton",
    "reference": "tokgate.models.reference:write",
    "export": "tokgate.models.onnx_export:export",
    "graph": "tokgate.models.onnx_export:rewrite",
    "quantize": "tokgate.models.quantize:quantize",
    "genai": "tokgate.models.genai_build:build",
    "compress": "tokgate.models.compressed:compress",
    "check": "tokgate.models.reference:check",
}


def main(argv: list[str]) -> int:
    emit = child_events()
    try:
        request = json.loads(Path(argv[0]).read_text())
        module, _, function = STEPS[request["step"]].partition(":")
        meta = getattr(import_module(module), function)(emit, **request["arguments"])
    except Exception as error:
        print(scrub(traceback.format_exc()), file=sys.stderr)
        known = isinstance(error, InputError)
        message = scrub(str(error) if known else f"{type(error).__name__}: {error}")
        emit({"event": "error", "message": message, "input_error": known})
        return 1
    emit({"event": "done", "meta": meta, "peak_rss_bytes": peak_rss_bytes()})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
