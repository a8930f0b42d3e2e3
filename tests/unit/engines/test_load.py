"""How an engine is loaded: by name, with its settings, in the environment that they ask for."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tokgate import engines

pytestmark = pytest.mark.unit


class Recording:
    """An engine that notes what it was given, and what it saw in the environment."""

    def __init__(self, model_dir: str, threads: int, settings: dict[str, Any]) -> None:
        self.given = (model_dir, threads, settings)
        self.seen = os.environ.get("TOKGATE_TEST_VARIABLE")


def test_variables_are_set_before_the_engine_is_there_and_are_no_setting_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engines._ENGINES, "recording", f"{__name__}:Recording")
    monkeypatch.delenv("TOKGATE_TEST_VARIABLE", raising=False)
    settings = {"environment": {"TOKGATE_TEST_VARIABLE": "1"}, "seed": 7}
    try:
        engine: Any = engines.load("recording", "/model", 2, settings)
    finally:
        monkeypatch.setenv("TOKGATE_TEST_VARIABLE", "")
    assert engine.given == ("/model", 2, {"seed": 7})
    assert engine.seen == "1"
    assert settings["environment"], "the plan's own settings stay whole"


def test_an_engine_nobody_knows_is_an_error() -> None:
    with pytest.raises(KeyError, match="bard"):
        engines.load("bard", "/model", 2, {})
