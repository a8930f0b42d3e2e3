"""Engine settings of a command line."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tokgate.cli import main
from tokgate.errors import InputError
from tokgate.generate.settings import ServiceSettings
from tokgate.given import context_len, given_settings, merged

pytestmark = pytest.mark.unit


def test_values_are_tomls_and_a_dot_makes_a_table() -> None:
    words = [
        "enforce_eager=true",
        'kv_cache_dtype="fp8"',
        'environment.A="1"',
        'environment.B="x=y"',
        "max_num_seqs = 8",
    ]
    assert given_settings(words, "--set") == {
        "enforce_eager": True, "kv_cache_dtype": "fp8", "environment": {"A": "1", "B": "x=y"}, "max_num_seqs": 8,
    }  # fmt: skip
    assert given_settings([], "--set") == {}


@pytest.mark.parametrize(
    "word", ["enforce_eager", "enforce_eager=False", "kv_cache_dtype=fp8", "=1", "a=", "#a=1", "", "a=2026-11-22"]
)
def test_what_is_no_setting_is_refused_with_an_example(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate-service", "--model=tiny", "--set", word]) == 2
    said = capsys.readouterr().err
    assert f"--set {word}: " in said
    assert "--set enforce_eager=true" in said


@pytest.mark.parametrize("value", ["1.5", "0", "-0.1", "0.0", "nan", "inf", "true", '"0.9"'])
def test_a_share_of_memory_is_above_0_and_up_to_1(value: str) -> None:
    with pytest.raises(InputError) as refused:
        given_settings(["enforce_eager=true", f"gpu_memory_utilization={value}"], "--perf-set")
    assert str(refused.value).startswith("--perf-set: gpu_memory_utilization = ")
    assert str(refused.value).endswith("; expected a number above 0 and up to 1")


@pytest.mark.parametrize("value", ["1", "1.0", "0.95", "0.001"])
def test_a_share_of_memory_that_there_is_goes_on_as_it_is(value: str) -> None:
    given = given_settings([f"gpu_memory_utilization={value}"], "--perf-set")
    assert given == {"gpu_memory_utilization": float(value)}


def test_a_setting_that_is_given_twice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate-service", "--model=tiny", "--set=threads=1", "--set=threads=2"]) == 2
    assert "--set threads=1 --set threads=2: " in capsys.readouterr().err


def test_the_service_is_started_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("tokgate.models.artifacts.ensure", lambda *args: SimpleNamespace(path=Path("model")))
    monkeypatch.setattr("tokgate.engine_modules.missing_engine", lambda *args: None)
    monkeypatch.setattr(os, "execvpe", lambda file, argv, env: started.append(argv))
    given = ["--set=enforce_eager=true", "--set=max_model_len=512", '--set=dtype="bfloat16"']
    main(["generate-service", "--model=tiny", "--engine=vllm", "--device=cpu", "--port=0", *given])
    ((*_, told),) = started
    settings = ServiceSettings.of(told)
    assert settings.settings == {"dtype": "bfloat16", "max_model_len": 512, "enforce_eager": True}
    assert (settings.limits.context_len, settings.limits.prompt_tokens) == (512, 511)


def test_requests_are_held_to_the_context_that_the_engine_was_told() -> None:
    assert context_len({"max_model_len": 512}, 2048) == 512
    assert context_len({"max_model_len": 4096}, 2048) == 2048
    assert context_len({"max_model_len": -1}, 2048) == 2048, "what fits, says vLLM"
    assert context_len({}, 2048) == 2048


def test_of_a_table_only_the_keys_that_are_given_change() -> None:
    own = {"dtype": "float16", "compilation_config": {"level": 3, "pass_config": {"fuse_allreduce_rms": False}}}
    given = {"compilation_config": {"level": 0}, "dtype": "bfloat16", "seed": 1}
    assert merged(own, given) == {
        "dtype": "bfloat16", "seed": 1,
        "compilation_config": {"level": 0, "pass_config": {"fuse_allreduce_rms": False}},
    }  # fmt: skip
    assert own["compilation_config"] == {"level": 3, "pass_config": {"fuse_allreduce_rms": False}}
