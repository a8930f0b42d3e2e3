"""What a machine is told that it cannot run: the sum is of what the group's engine will be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.silent import Silent
from tokgate import runner
from tokgate.launcher import Setting
from tokgate.models.source import resolve
from tokgate.runner import GroupRunner
from tokgate.scenario import Group, Profile, Scenario

pytestmark = pytest.mark.unit

T4 = {"gpu_name": "NVIDIA T4", "gpu_memory_mib": 15360, "compute_capability": "7.5"}
QWEN = "qwen2.5-7b"


class NoScreen:
    """A run without accepted sessions."""

    def is_accepted(self, scenario: Any) -> bool:
        return False

    def suspects(self, rows: Any) -> set[Any]:
        return set()

    def to_pair(self, rows: Any) -> set[Any]:
        return set()


@pytest.fixture(autouse=True)
def _host_with_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokgate.models.fit.available_bytes", lambda: 10**12)


def refusal(folder: Path, engine: str, own: dict[str, Any], given: dict[str, Any]) -> str | None:
    """Of Qwen2.5-7B in INT8 on a T4; `own` are the settings of its variants, `given` those of --perf-set."""
    group = Group(QWEN, f"{QWEN}-dummy", engine, "int8", settings=own, device="gpu", skeleton=True)
    sources = {QWEN: resolve("dummy", QWEN)}
    setting = Setting(Profile("quick", 1, 1), sources, folder, "python", "python", "avx2", 2, machine=T4, given=given)
    return GroupRunner(setting, NoScreen(), Silent()).cannot_run(group, [Scenario(group, 50, 512, 512)])


@pytest.mark.parametrize(
    ("engine", "own", "given", "cache"),
    [
        # 131,072 tokens are 7.5 GB: vLLM starts no server that has no room for one such sequence.
        ("serve", {}, {}, "7.5 GB KV cache"),
        ("serve", {"max_model_len": 4096}, {}, None),
        ("serve", {}, {"max_model_len": 4096}, None),
        ("serve", {"max_model_len": 4096}, {"max_model_len": 131072}, "7.5 GB KV cache"),
        ("vllm", {}, {}, None),
        ("vllm", {}, {"max_model_len": 131072, "kv_cache_dtype": "fp8"}, "3.8 GB KV cache"),
    ],
)
def test_the_cache_is_that_of_the_merged_settings(
    tmp_path: Path, engine: str, own: dict[str, Any], given: dict[str, Any], cache: str | None
) -> None:
    found = refusal(tmp_path, engine, own, given)
    assert (found is None) if cache is None else (found is not None and f" + {cache} + " in found)


@pytest.mark.parametrize("given", [{}, {"kv_cache_dtype": "fp8"}])
def test_on_a_cpu_the_cache_is_that_of_the_merged_settings_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(runner, "does_not_fit", lambda *args, **kwargs: asked.append(kwargs))
    group = Group(QWEN, f"{QWEN}-dummy", "vllm", "bf16", settings={"kv_cache_dtype": "auto"}, skeleton=True)
    sources = {QWEN: resolve("dummy", QWEN)}
    setting = Setting(Profile("quick", 1, 1), sources, tmp_path, "python", "python", "avx2", 2, given=given)
    assert GroupRunner(setting, NoScreen(), Silent()).cannot_run(group, [Scenario(group, 50, 512, 512)]) is None
    assert [each["kv_cache_dtype"] for each in asked] == [given.get("kv_cache_dtype", "auto")]


def test_what_the_engine_may_use_is_that_of_the_merged_settings(tmp_path: Path) -> None:
    tuned = {"max_model_len": 4096, "gpu_memory_utilization": 0.95}
    assert refusal(tmp_path, "serve", tuned, {}) is None
    found = refusal(tmp_path, "serve", tuned, {"gpu_memory_utilization": 0.5})
    assert found is not None
    assert found.startswith("measuring vllm int8 on 1 GPU needs 11.1 GB: ")
    assert "; available: 8.1 GB (50% of 1 GPU of 15360 MiB); would fit: " in found


MISTRAL = "mistral-7b"


def fp16_on_a_t4(folder: Path, given: dict[str, Any]) -> str | None:
    """Of Mistral-7B's shortest row, as `tests/gpu/test_offline_mistral_7b.py -k 'fp16 and b1.p5'` has it."""
    group = Group(MISTRAL, f"{MISTRAL}-dummy", "vllm", "fp16", device="gpu", skeleton=True)
    sources = {MISTRAL: resolve("dummy", MISTRAL)}
    setting = Setting(Profile("quick", 1, 1), sources, folder, "python", "python", "avx2", 2, machine=T4, given=given)
    return GroupRunner(setting, NoScreen(), Silent()).cannot_run(group, [Scenario(group, 1, 5, 50)])


def test_offloaded_weights_are_of_the_hosts_sum_and_not_of_the_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = fp16_on_a_t4(tmp_path, {})
    assert found is not None
    assert found.startswith("measuring vllm fp16 on 1 GPU needs 16.8 GB: 14.5 GB weights + ")
    offload = {"cpu_offload_gb": 8}
    assert fp16_on_a_t4(tmp_path, offload) is None
    monkeypatch.setattr("tokgate.models.fit.available_bytes", lambda: 12 * 10**9)
    found = fp16_on_a_t4(tmp_path, offload)
    assert found is not None
    assert found.startswith("measuring vllm fp16 on a GPU needs 12.9 GB: ")
    assert " + 9.9 GB weights kept off the GPU; available: 12.0 GB" in found
