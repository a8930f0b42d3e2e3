"""What vLLM is asked for, and what is told of it; a stand-in for its library notes it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from vllmconfig import vllm_config

from tokgate.engines.decoding import Decoding

pytestmark = pytest.mark.unit

OUTPUT_LEN = 3
PROMPTS = np.array([[1, 2], [1, 2], [3, 4]])


class FakeLLM:
    """Answers each prompt with its own number of the batch, and notes the parameters it was given."""

    def __init__(self, model: str, **arguments: Any) -> None:
        # As vLLM does where it has to.
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
        self.llm_engine = SimpleNamespace(vllm_config=vllm_config())
        self.asked: list[Any] = []

    def generate(self, inputs: Sequence[Any], params: Any, use_tqdm: bool) -> list[Any]:
        self.asked.append(params)
        stats = SimpleNamespace(first_token_latency=0.1, first_token_ts=1.0, last_token_ts=2.0)
        return [
            SimpleNamespace(outputs=[SimpleNamespace(token_ids=[number] * OUTPUT_LEN)], metrics=stats)
            for number in range(len(inputs))
        ]

    def start_profile(self) -> None: ...

    def stop_profile(self) -> None: ...

    def collective_rpc(self, question: Any) -> list[str]:
        return ["asked"]


KNOWN = ("VLLM_USE_FLASHINFER_SAMPLER", "VLLM_WORKER_MULTIPROC_METHOD", "VLLM_ALLOW_INSECURE_SERIALIZATION")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    fake: Any = ModuleType("vllm")
    fake.__version__ = "0.26.0"
    fake.LLM, fake.SamplingParams = FakeLLM, dict
    fake.envs = SimpleNamespace(environment_variables=dict.fromkeys(KNOWN))
    monkeypatch.setitem(sys.modules, "vllm", fake)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(__version__="2.10"))
    monkeypatch.delitem(sys.modules, "tokgate.engines.vllm", raising=False)
    # Another one, which what is set while the engine is imported and loaded goes with.
    monkeypatch.setattr(os, "environ", {"HOME": str(tmp_path), "VLLM_USE_FLASHINFER_SAMPLER": "0"})
    from tokgate import engines

    yield engines.load("vllm", str(tmp_path), 2, {"sampling": {"temperature": 0.5, "seed": 7}})
    sys.modules.pop("tokgate.engines.vllm", None)


def test_each_sequence_of_a_batch_is_drawn_from_a_seed_of_its_own(engine: Any) -> None:
    engine.generate(PROMPTS, OUTPUT_LEN, Decoding(temperature=0.8, seed=100, stop_ids=(9,)))
    (params,) = engine._llm.asked
    assert [param["seed"] for param in params] == [100, 101, 102]
    common = {"temperature": 0.8, "stop_token_ids": [9], "max_tokens": OUTPUT_LEN, "ignore_eos": True}
    assert all(param == {**common, "seed": param["seed"]} for param in params)


def test_greedy_decoding_with_an_end_draws_nothing(engine: Any) -> None:
    made = engine.generate(PROMPTS, OUTPUT_LEN, Decoding(stop_ids=(2,)))
    (params,) = engine._llm.asked
    assert [(param["temperature"], param["stop_token_ids"]) for param in params] == [(0.0, [2])] * 3
    assert made.tokens.tolist() == [[0, 0, 0], [1, 1, 1], [2, -1, -1]]


def test_what_is_measured_is_asked_for_by_the_settings_alone(engine: Any) -> None:
    engine.generate(PROMPTS, OUTPUT_LEN)
    assert engine._llm.asked == [{"temperature": 0.5, "seed": 7, "max_tokens": OUTPUT_LEN, "ignore_eos": True}]


def test_what_a_row_asks_for_goes_before_the_settings(engine: Any) -> None:
    for made in (engine.generate, engine.traced):
        made(PROMPTS, OUTPUT_LEN, sampling={"temperature": 1.0, "top_p": 0.9})
    wanted = {"temperature": 1.0, "seed": 7, "top_p": 0.9, "max_tokens": OUTPUT_LEN, "ignore_eos": True}
    assert engine._llm.asked == [wanted, wanted]


def test_it_tells_versions_choices_and_the_variables_that_it_was_given(engine: Any) -> None:
    """Not those that tokgate sets for it always, nor what vLLM sets for itself while it loads."""
    told = engine.describe()
    assert told["environment"] == "VLLM_USE_FLASHINFER_SAMPLER=0"
    assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"
    assert os.environ["VLLM_ALLOW_INSECURE_SERIALIZATION"] == "1"
    assert (told["vllm"], told["torch"]) == ("0.26.0", "2.10")
    assert (told["async_scheduling"], told["attention_backend"], told["linear_kernel"]) == ("True", "asked", "asked")
