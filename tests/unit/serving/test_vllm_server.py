"""What `vllm serve` is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tokgate.plan import PLAN_SCHEMA, LaunchPlan, ServerPlan
from tokgate.serving.vllm_server import flags, server_command

pytestmark = pytest.mark.unit


def plan(**settings: Any) -> LaunchPlan:
    server = ServerPlan("tiny-dummy", python="/env/bin/python")
    return LaunchPlan(PLAN_SCHEMA, "serve", "/models/tiny", 2000, settings, 2, 1, 0, 0, 0, (), server=server)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"enforce_eager": True}, ["--enforce-eager"]),
        ({"enable_chunked_prefill": False}, ["--no-enable-chunked-prefill"]),
        ({"max_num_batched_tokens": 8192, "gpu_memory_utilization": 0.95},
         ["--max-num-batched-tokens=8192", "--gpu-memory-utilization=0.95"]),
        ({"speculative_config": {"method": "ngram", "num_speculative_tokens": 4}},
         ['--speculative-config={"method": "ngram", "num_speculative_tokens": 4}']),
        ({"quantization": None, "dtype": "float16"}, ["--dtype=float16"]),
        ({}, []),
    ],
)  # fmt: skip
def test_engine_arguments_are_flags(settings: dict[str, Any], expected: list[str]) -> None:
    assert flags(settings) == expected


def test_the_command_serves_the_model_on_the_loopback_under_its_name() -> None:
    command = server_command(plan(dtype="float16"), 8123, Path("log"), None)
    assert command.argv == [
        "/env/bin/python", "-m", "tokgate.serving.vllm_cli", "serve", "/models/tiny", "--host=127.0.0.1", "--port=8123",
        "--served-model-name=tiny-dummy", "--dtype=float16",
    ]  # fmt: skip
    assert command.environment["HF_HUB_OFFLINE"] == "1"
    assert "VLLM_CPU_OMP_THREADS_BIND" not in command.environment


def test_what_goes_with_each_request_or_into_the_environment_is_no_flag() -> None:
    settings = {"sampling": {"temperature": 1.0}, "environment": {"VLLM_CPU_KVCACHE_SPACE": "1"}}
    command = server_command(plan(**settings), 8123, Path("log"), None)
    assert not [word for word in command.argv if "sampling" in word or "environment" in word]
    assert command.environment["VLLM_CPU_KVCACHE_SPACE"] == "1"


def test_compute_threads_are_bound_to_the_cpus_unless_the_scenario_says_otherwise() -> None:
    cpus = frozenset({4, 2})
    assert server_command(plan(), 1, Path("log"), cpus).environment["VLLM_CPU_OMP_THREADS_BIND"] == "2,4"
    chosen = plan(environment={"VLLM_CPU_OMP_THREADS_BIND": "0-3"})
    assert server_command(chosen, 1, Path("log"), cpus).environment["VLLM_CPU_OMP_THREADS_BIND"] == "0-3"
