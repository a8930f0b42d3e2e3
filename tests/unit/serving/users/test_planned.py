"""From a row of a plan to its users."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokgate.plan import PLAN_SCHEMA, Api, LaunchPlan, PlanRow, ServerPlan, Traffic, Users
from tokgate.serving.users import planned
from tokgate.serving.users.crowd import Crowd

pytestmark = pytest.mark.unit

CPUS = frozenset({3})


class Letters:
    """A token is a letter."""

    vocab_size = 26

    def __init__(self, folder: Path) -> None:
        assert folder == Path("a-model")

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - ord("a") for letter in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(ord("a") + token) for token in ids)


def crowd(api: Api, engine: str = "serve") -> Crowd:
    row = PlanRow("row", 3, 7, 20, Traffic(12, users=Users(api, False, 10.0, (0.0, 0.0), 5.0)))
    server = ServerPlan("m", api_key_env="KEY")
    plan = LaunchPlan(
        PLAN_SCHEMA, engine, "a-model", 26, {}, 1, 1, 0, 0, 0, (row,), server=server, load_workers=2
    )  # fmt: skip
    return planned.crowd_of(plan, row, "http://h:8000", CPUS, seed=1)


def test_as_many_users_as_the_row_has_at_once_ask_for_its_tokens() -> None:
    found = crowd("completions")
    assert (found.count, found.prompt_tokens, found.output_tokens) == (3, 7, 20)
    assert (found.base_url, found.model, found.key_env) == ("http://h:8000", "m", "KEY")
    assert (found.workers, found.cpus) == (2, CPUS)
    assert (found.vocab_size, found.tokenizer) == (26, None), "prompts are token ids, where the endpoint takes them"
    assert found.seed == 1


def test_a_generate_service_serves_one_model_without_a_name() -> None:
    assert crowd("generate", engine="onnx").model == ""


def test_what_is_said_in_a_chat_is_of_the_served_models_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned, "Codec", Letters)
    assert crowd("chat").tokenizer == Path("a-model")


def test_a_tokenizer_that_makes_no_text_is_known_before_there_are_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned, "Codec", Letters)
    monkeypatch.setattr(Letters, "decode", lambda self, ids: "")
    with pytest.raises(ValueError, match="no text of 7 tokens"):
        crowd("chat")
