"""A /generate service as a launch starts it, and as it is asked what it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokgate.generate.settings import Limits, ServiceSettings
from tokgate.models.cache import MANIFEST
from tokgate.plan import LaunchPlan
from tokgate.scenario import SERVICE
from tokgate.serving.request import Target
from tokgate.serving.server import HOST, ServerCommand
from tokgate.serving.web import opened

PATH = "/generate"
_ANSWER_S = 300.0


def generate_command(plan: LaunchPlan, port: int, log: Path, cpus: frozenset[int] | None) -> ServerCommand:
    """The command that serves the plan's model. With `cpus` the engine has a thread for each."""
    assert plan.server is not None
    engine_settings = {name: value for name, value in plan.settings.items() if name != SERVICE}
    own: dict[str, Any] = dict(plan.settings.get(SERVICE, {}))
    context_len = _context_len(Path(plan.model_dir))
    longest = max(row.output_len for row in plan.rows)
    settings = ServiceSettings(
        engine=plan.engine,
        model_dir=plan.model_dir,
        tokenizer_dir=plan.server.tokenizer_dir,
        limits=Limits(context_len, context_len - 1, min(longest, context_len - 1)),
        model=plan.server.model,
        settings=engine_settings,
        threads=len(cpus) if cpus else plan.threads,
        host=HOST,
        port=port,
        **own,
    )
    return ServerCommand([plan.server.python, "-m", "tokgate.generate.server", settings.to_json()], port, log, {}, cpus)


class ServedText:
    """A running service, asked what an engine is asked. It compares its logits with the reference's by itself."""

    def __init__(self, target: Target, facts: Mapping[str, str]) -> None:
        info = target.beside("/info")
        with opened(info.url, _ANSWER_S) as answer:
            self._info: dict[str, Any] = json.load(answer)
        self._facts = dict(facts)

    @property
    def accuracy(self) -> dict[str, Any] | None:
        """As Distance's fields; None where the model has no reference."""
        found: dict[str, Any] | None = self._info["accuracy"]
        return found

    def describe(self) -> dict[str, str]:
        return {
            **self._info["engine"],
            "batch": str(self._info["batch"]),
            "queue": str(self._info["queue"]),
            **self._facts,
        }


def ask_once(target: Target, prompt: list[int], output_len: int) -> None:
    """One request, for its warmth. Raises OSError where it is not answered."""
    parameters = {"max_steps": output_len, "ignore_eos": True}
    body = json.dumps({"prompt": prompt, "parameters": parameters}).encode()
    headers = {"Content-Type": "application/json", **dict(target.headers)}
    with opened(target.url, _ANSWER_S, body, headers) as answer:
        answer.read()


def _context_len(model_dir: Path) -> int:
    """What the graph was built for goes before what the model could hold."""
    try:
        return int(json.loads((model_dir / MANIFEST).read_text("utf-8"))["meta"]["max_context"])
    except (OSError, KeyError):
        return int(json.loads((model_dir / "config.json").read_text("utf-8"))["max_position_embeddings"])
