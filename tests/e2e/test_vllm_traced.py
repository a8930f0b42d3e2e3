"""vLLM for real, on the CPU, quantised and traced. `make vllm-cpu` makes its environment.

No timing is looked at, so others may run beside: rounds are measured, and may be disturbed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from flow import VLLM_PYTHON, Measured, measure, needs_vllm
from vllm_offline import check_kv_cache, check_outputs, check_traces, check_what_was_chosen, check_work

pytestmark = [pytest.mark.e2e, pytest.mark.beside, needs_vllm]

GROUP = "tiny-dummy.vllm.int8"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, vllm_cache: Path) -> Measured:
    """`pytest -m vllm_cpu` itself: every row of its matrix in INT8; then all of them traced."""
    folder, options = tmp_path_factory.mktemp("run"), [f"--perf-python={VLLM_PYTHON}", "--perf-trace", "-k", "int8"]
    return measure("vllm_cpu", folder, *options, quiet=False, cache=vllm_cache)


def test_every_row_did_the_work_that_was_planned(measured: Measured) -> None:
    check_work(measured, GROUP)


def test_the_outputs_are_the_models(measured: Measured) -> None:
    check_outputs(measured, GROUP)


def test_the_session_says_what_vllm_chose(measured: Measured) -> None:
    check_what_was_chosen(measured, GROUP, "compressed-tensors")


def test_each_round_says_how_much_of_the_kv_cache_it_used(measured: Measured) -> None:
    check_kv_cache(measured, GROUP)


def test_a_trace_says_where_the_time_went(measured: Measured) -> None:
    check_traces(measured, GROUP)
