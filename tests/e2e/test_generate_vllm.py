"""The /generate service over vLLM, on the CPU. Alone: vLLM refuses to start where others hold much of the memory."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import pytest
from flow import VLLM_PYTHON, needs_vllm
from services import answers_alone_and_together, serving

pytestmark = [pytest.mark.e2e, needs_vllm]


def test_vllm_answers_too(cache: Path) -> None:
    with serving(
        cache, "--engine=vllm", "--precision=fp32", "--device=cpu", f"--python={VLLM_PYTHON}", "--batch=4"
    ) as service:
        alone, together, _ = answers_alone_and_together(service)
        assert together == alone
        assert service.ask("t1 t2 t3", max_steps=5, temperature=1.0)["output_tokens"] <= 5
        with pytest.raises(urllib.error.HTTPError, match="422"):
            service.ask("t1", max_steps=10**6)
