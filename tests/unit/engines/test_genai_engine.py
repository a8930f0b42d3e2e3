"""What GenAI is asked for, with a library that notes it: where it is not installed it cannot be asked itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tokgate.engines.decoding import Decoding

pytestmark = pytest.mark.unit

VOCAB, END = 50, 49


class FakeGenerator:
    """A model whose next token is the last one and one more; notes what it was asked for."""

    def __init__(self, model: FakeModel, params: FakeParams) -> None:
        model.options.append(params.options)
        self._options = params.options
        self._last: Any = None
        self._logits: Any = None
        self._made = 0

    def append_tokens(self, tokens: Any) -> None:
        assert tokens.dtype == np.int32
        assert tokens.shape[0] == self._options["batch_size"]
        self._last, self._made = tokens[:, -1], tokens.shape[1]

    def get_logits(self) -> Any:
        logits = np.zeros((len(self._last), 1, VOCAB), np.float32)
        logits[np.arange(len(self._last)), 0, (self._last + 1) % VOCAB] = 1.0
        return logits

    def set_logits(self, logits: Any) -> None:
        self._logits = logits

    def generate_next_token(self) -> None:
        assert self._made < self._options["max_length"], "as the library says"
        logits = self.get_logits() if self._logits is None else self._logits
        if self._made < self._options["min_length"]:
            logits[:, :, END] = -np.inf
        self._last, self._logits, self._made = logits[:, 0].argmax(axis=-1), None, self._made + 1

    def get_next_tokens(self) -> Any:
        return self._last.astype(np.int32)


class FakeParams:
    def __init__(self, model: FakeModel) -> None:
        self.options: dict[str, Any] = {}

    def set_search_options(self, **options: Any) -> None:
        self.options = options


class FakeConfig:
    def __init__(self, folder: str) -> None:
        self.laid_over: dict[str, Any] = {}

    def overlay(self, text: str) -> None:
        self.laid_over = json.loads(text)


class FakeModel:
    device_type = "CPU"

    def __init__(self, config: FakeConfig) -> None:
        self.config = config
        self.options: list[dict[str, Any]] = []


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    fake: Any = ModuleType("onnxruntime_genai")
    fake.__version__ = "0"
    fake.told: list[str] = []
    fake.disable_telemetry_events = lambda: fake.told.append("no telemetry")
    fake.Config, fake.Model, fake.GeneratorParams, fake.Generator = FakeConfig, FakeModel, FakeParams, FakeGenerator
    monkeypatch.setitem(sys.modules, "onnxruntime_genai", fake)
    monkeypatch.delitem(sys.modules, "tokgate.engines.genai", raising=False)
    return fake


@pytest.fixture
def engine(library: ModuleType, tmp_path: Path) -> Any:
    from tokgate import engines

    (tmp_path / "genai_config.json").write_text(json.dumps({"model": {"vocab_size": VOCAB, "eos_token_id": END}}))
    yield engines.load("genai", str(tmp_path), 3, {"allow_spinning": False})
    sys.modules.pop("tokgate.engines.genai", None)


PROMPTS = np.array([[1, 2, 3], [4, 5, 6]])


def test_threads_and_spinning_are_those_of_the_plan_and_nothing_is_reported_home(engine: Any, library: Any) -> None:
    options = engine._model.config.laid_over["model"]["decoder"]["session_options"]
    assert options["intra_op_num_threads"] == 3
    assert options["session.intra_op.allow_spinning"] == "0"
    assert library.told == ["no telemetry"]
    assert engine.describe() == {"onnxruntime-genai": "0", "device": "CPU", "threads": "3", "spinning": "off"}


def test_an_unknown_setting_is_refused_with_what_is_known(library: ModuleType, tmp_path: Path) -> None:
    from tokgate import engines

    with pytest.raises(ValueError, match=r"unknown settings \['spin'\]; known: allow_spinning"):
        engines.load("genai", str(tmp_path), 1, {"spin": True})
    with pytest.raises(ValueError, match=r"allow_spinning = 'false'; expected true or false"):
        engines.load("genai", str(tmp_path), 1, {"allow_spinning": "false"})


def test_each_sequence_has_exactly_its_tokens_and_a_cache_no_longer_than_that(engine: Any) -> None:
    made = engine.generate(PROMPTS, 4)
    assert made.tokens.tolist() == [[4, 5, 6, 7], [7, 8, 9, 10]]
    assert 0 < made.prefill_s <= made.total_s
    (options,) = engine._model.options
    assert options["max_length"] == options["min_length"] == 7
    assert (options["batch_size"], options["do_sample"], options["num_beams"]) == (2, False, 1)


def test_the_end_of_a_sequence_is_never_made(engine: Any) -> None:
    """Where it would come next, something else does, and the sequence goes on."""
    made = engine.generate(np.array([[END - 2]]), 5)
    assert END not in made.tokens
    assert (made.tokens >= 0).all()


def test_each_step_is_fed_the_true_token_whatever_was_predicted(engine: Any) -> None:
    continuation = np.array([[20, 30, 40], [21, 31, 41]])
    logits = engine.forced_logits(PROMPTS, continuation)
    assert logits.shape == (2, 3, VOCAB)
    assert logits.argmax(-1).tolist() == [[4, 21, 31], [7, 22, 32]]


def test_a_continuation_that_holds_the_end_is_refused_unless_it_stands_last(engine: Any) -> None:
    with pytest.raises(ValueError, match="holds token 49"):
        engine.forced_logits(PROMPTS, np.array([[END, 1], [1, 1]]))
    assert engine.forced_logits(PROMPTS, np.array([[1, END], [1, 1]])).shape == (2, 2, VOCAB)


def test_a_choice_of_our_own_feeds_what_it_chose_and_stops_where_asked(engine: Any) -> None:
    made = engine.generate(PROMPTS, 6, Decoding(stop_ids=(6, 8)))
    assert made.tokens.tolist() == [[4, 5, 6, -1, -1, -1], [7, 8, -1, -1, -1, -1]]
    assert END not in engine.generate(np.array([[END - 2]]), 5, Decoding()).tokens
