"""The /generate service over vLLM, on the CPU, with settings of vLLM's from the command line."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import pytest
from flow import VLLM_PYTHON, needs_vllm
from services import answers_alone_and_together, serving

pytestmark = [pytest.mark.e2e, pytest.mark.beside, needs_vllm]

# Eager, since compiling takes minutes; 1 GiB of KV cache, since vLLM refuses to start where others hold much of the
# memory that it would take.
SETTINGS = ("--set=enforce_eager=true", '--set=environment.VLLM_CPU_KVCACHE_SPACE="1"')


def test_vllm_answers_too(cache: Path) -> None:
    options = ("--engine=vllm", "--precision=fp32", "--device=cpu", f"--python={VLLM_PYTHON}", "--batch=4")
    with serving(cache, *options, *SETTINGS) as service:
        alone, together, _ = answers_alone_and_together(service)
        assert together == alone
        assert service.info()["engine"]["enforce_eager"] == "True", "as the command line said"
        assert service.ask("t1 t2 t3", max_steps=5, temperature=1.0)["output_tokens"] <= 5
        with pytest.raises(urllib.error.HTTPError, match="422"):
            service.ask("t1", max_steps=10**6)
