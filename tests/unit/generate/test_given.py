"""Engine settings of a command line."""

from __future__ import annotations

import pytest

from tokgate.cli import main
from tokgate.generate.given import context_len, given_settings

pytestmark = pytest.mark.unit


def test_values_are_tomls_and_a_dot_makes_a_table() -> None:
    words = [
        "enforce_eager=true",
        'kv_cache_dtype="fp8"',
        'environment.A="1"',
        'environment.B="x=y"',
        "max_num_seqs = 8",
    ]
    assert given_settings(words) == {
        "enforce_eager": True, "kv_cache_dtype": "fp8", "environment": {"A": "1", "B": "x=y"}, "max_num_seqs": 8,
    }  # fmt: skip
    assert given_settings([]) == {}


@pytest.mark.parametrize("word", ["enforce_eager", "enforce_eager=False", "kv_cache_dtype=fp8", "=1", "a="])
def test_what_is_no_setting_is_refused_with_an_example(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate-service", "--model=tiny", "--set", word]) == 2
    said = capsys.readouterr().err
    assert f"--set {word}: " in said
    assert "--set enforce_eager=true" in said


def test_a_setting_that_is_given_twice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate-service", "--model=tiny", "--set=threads=1", "--set=threads=2"]) == 2
    assert "--set threads=1 --set threads=2: " in capsys.readouterr().err


def test_requests_are_held_to_the_context_that_the_engine_was_told() -> None:
    assert context_len({"max_model_len": 512}, 2048) == 512
    assert context_len({"max_model_len": 4096}, 2048) == 2048
    assert context_len({"max_model_len": -1}, 2048) == 2048, "what fits, says vLLM"
    assert context_len({}, 2048) == 2048
