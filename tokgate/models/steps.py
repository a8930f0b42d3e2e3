"""Runs the steps of one build, each in a child process of its own, and notes what each took."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokgate.child import ChildError, run_child
from tokgate.errors import InputError, MeasurementError
from tokgate.models import hub
from tokgate.models.cache import Meta, Report, disk_full

_NO_SPACE = ("no space left on device", "os error 28", "errno 28", "disk quota exceeded")


@dataclass
class Steps:
    """The steps of building entry `name` of `kind` for `model_id` in `folder`; `scratch` is not kept.

    `done` holds {name, seconds, peak_rss_bytes} of each step that has been run.
    """

    folder: Path
    python: str
    kind: str
    name: str
    model_id: str
    report: Report
    done: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scratch.mkdir()

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    def run(self, step: str, **arguments: object) -> Meta:
        """What the step noted. Raises InputError if the model is at fault, else MeasurementError."""
        request = self.scratch / f"{step}.json"
        request.write_text(json.dumps({"step": step, "arguments": arguments}))
        heard: dict[str, dict[str, Any]] = {}

        def hear(event: dict[str, Any]) -> None:
            heard[event["event"]] = event
            if event["event"] == "step":
                self.report(f"{self.kind}: {event['name']}: {event['detail']}")

        started = time.monotonic()
        environment = _environment(offline=step != "download")
        try:
            run_child([self.python, "-m", "tokgate.models.build", str(request)], hear, environment)
        except ChildError as error:
            raise self._failure(step, error, heard.get("error", {})) from None
        self.done.append(
            {
                "name": step,
                "seconds": round(time.monotonic() - started, 1),
                "peak_rss_bytes": heard["done"]["peak_rss_bytes"],
            }
        )
        meta: Meta = heard["done"]["meta"]
        return meta

    def _failure(self, step: str, error: ChildError, event: dict[str, Any]) -> Exception:
        message = hub.scrub(str(error))
        if any(sign in f"{message}\n{error.tail}".lower() for sign in _NO_SPACE):
            return MeasurementError(disk_full(self.folder.parent, self.name))
        refused = InputError if event.get("input_error") else MeasurementError
        return refused(f"{self.model_id}: {self.kind} was not built, its step {step} failed: {message}")


def _environment(offline: bool) -> dict[str, str]:
    """The children's environment: only the download talks to the hub, and only it is given the token."""
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
    if offline:
        environment = {name: value for name, value in environment.items() if not name.endswith("_TOKEN")}
        environment.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    return environment
