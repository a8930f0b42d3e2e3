"""A /generate service as a launch starts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.generate.scripted import running
from tokgate.generate.settings import ServiceSettings
from tokgate.plan import PLAN_SCHEMA, LaunchPlan, PlanRow, ServerPlan
from tokgate.serving.generate_server import ask_once, generate_command
from tokgate.serving.request import Target

pytestmark = pytest.mark.unit


def plan(model_dir: Path, **changes: Any) -> LaunchPlan:
    rows = (PlanRow("m.onnx.fp32.generate.users.c5.p7.o100", 5, 7, 100), PlanRow("m.c5.p7.o20", 5, 7, 20))
    settings: dict[str, Any] = {
        "schema": PLAN_SCHEMA, "engine": "onnx", "model_dir": str(model_dir), "vocab_size": 10,
        "settings": {"allow_spinning": False, "service": {"queue": 9, "batch": 4}}, "threads": 8, "rounds": 1,
        "repeats": 0, "order_seed": 0, "prompt_seed": 0, "rows": rows,
        "server": ServerPlan("m", python="/python", tokenizer_dir="/tokenizer"), **changes,
    }  # fmt: skip
    return LaunchPlan(**settings)


def told(plan: LaunchPlan, cpus: frozenset[int] | None = None) -> ServiceSettings:
    command = generate_command(plan, 8123, Path("/log"), cpus)
    assert command.argv[:3] == ["/python", "-m", "tokgate.generate.server"]
    assert (command.port, command.log, command.cpus) == (8123, Path("/log"), cpus)
    return ServiceSettings.of(command.argv[3])


def test_engine_and_service_are_told_what_is_theirs(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 4096}')
    found = told(plan(tmp_path))
    assert found.settings == {"allow_spinning": False}
    assert (found.queue, found.batch, found.threads, found.port) == (9, 4, 8, 8123)
    assert (found.model_dir, found.tokenizer_dir) == (str(tmp_path), "/tokenizer")
    assert (found.limits.context_len, found.limits.steps) == (4096, 100)


def test_a_graph_holds_the_context_that_it_was_built_for(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 32768}')
    (tmp_path / "tokgate-manifest.json").write_text(json.dumps({"meta": {"max_context": 4096}, "files": {}}))
    assert told(plan(tmp_path)).limits.context_len == 4096


def test_on_some_of_the_cpus_it_has_a_thread_for_each(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 4096}')
    assert told(plan(tmp_path), frozenset({0, 2, 3})).threads == 3


def test_it_is_warmed_by_a_request() -> None:
    with running() as service:
        ask_once(Target("http", "127.0.0.1", service.port, "/generate"), [1, 2], 3)
        assert service.engine.calls == [[[1, 2]]]
