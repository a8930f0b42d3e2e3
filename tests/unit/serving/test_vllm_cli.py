"""What a server of vLLM is made to say of itself in its log."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.engines.vllmconfig import vllm_config
from tokgate.serving.vllm_cli import TOLD, tell_choices

pytestmark = pytest.mark.unit

KNOWN = frozenset({"VLLM_USE_FLASHINFER_SAMPLER", "VLLM_API_KEY", "VLLM_CACHE_ROOT"})


def told(config: Any, capsys: pytest.CaptureFixture[str], environ: dict[str, str]) -> dict[str, str]:
    class EngineArgs:
        def create_engine_config(self, usage_context: str, headless: bool = False) -> Any:
            assert (usage_context, headless) == ("server", True)
            return config

    tell_choices(EngineArgs, environ, KNOWN)
    assert EngineArgs().create_engine_config("server", headless=True) is config
    line = capsys.readouterr().out
    assert line.startswith(TOLD)
    assert line.count("\n") == 1
    found: dict[str, str] = json.loads(line.removeprefix(TOLD))
    return found


def test_it_tells_what_the_offline_engine_tells_of_its_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    found = told(vllm_config(), capsys, {})
    assert (found["async_scheduling"], found["max_num_seqs"], found["tensor_parallel_size"]) == ("True", "1024", "2")
    assert (found["speculation"], found["environment"]) == ("none", "none")


def test_of_the_variables_it_was_given_none_is_told_that_names_a_place_or_a_key(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = {"VLLM_USE_FLASHINFER_SAMPLER": "0", "VLLM_API_KEY": "k", "VLLM_CACHE_ROOT": "/a", "VLLM_SERVICE_HOST": "h"}
    assert told(vllm_config(), capsys, given)["environment"] == "VLLM_USE_FLASHINFER_SAMPLER=0"


def test_what_it_does_not_know_yet_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A cache that is sized later is no choice, and would be one that differs where its log is not understood."""
    cache = SimpleNamespace(**vars(vllm_config().cache_config) | {"num_gpu_blocks": None})
    found = told(vllm_config(cache_config=cache), capsys, {})
    assert "kv_cache_tokens" not in found
    assert "unknown" not in found.values()
    assert found["kv_cache_dtype"] == "auto"


def test_a_configuration_that_is_laid_out_otherwise_keeps_no_server_from_starting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told(SimpleNamespace(), capsys, {}) == {"environment": "none"}
