"""vLLM failing for real, on the CPU: its engine killed or hanging, a setting that it does not know, too little memory.

Nothing is measured, so others may run beside. `make vllm-cpu` makes its environment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from flow import VLLM_PYTHON, needs_vllm

from tokgate.child import Child, ChildError
from tokgate.errors import MeasurementError
from tokgate.launch import run_launch
from tokgate.machine.cpumodel import isa
from tokgate.models.artifacts import ensure
from tokgate.models.source import resolve
from tokgate.plan import PLAN_SCHEMA, LaunchPlan, PlanRow

pytestmark = [pytest.mark.e2e, pytest.mark.beside, needs_vllm]


@pytest.fixture(scope="module")
def checkpoint(vllm_cache: Path) -> Path:
    """The tiny model as vLLM loads it."""
    source = resolve("tiny", "tiny", allow_network=False)
    return ensure(source, "vllm", "bf16", vllm_cache, str(VLLM_PYTHON), isa(), print).path


def test_an_engine_that_is_killed_ends_the_launch_and_leaves_nothing(checkpoint: Path) -> None:
    """vLLM works in a process of its own, which the kernel may kill for memory while the worker lives on."""
    killed: list[int] = []

    def kill_engine(scenario: str) -> None:
        if not killed:
            family = psutil.Process().children(recursive=True)
            killed.extend(process.pid for process in family)
            _engine(family).kill()

    # vLLM tells that its engine died, or, killed at another moment, waits for it for ever: then the worker ends itself.
    with pytest.raises(MeasurementError, match=r"vllm worker failed: (EngineDeadError|a process of the engine ended)"):
        run_launch(_plan(checkpoint, rounds=100), str(VLLM_PYTHON), kill_engine)
    assert _gone(killed)


def test_an_engine_that_hangs_in_a_measurement_is_given_up_and_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    """As run_launch does it, but for how long it waits: minutes while vLLM loads, seconds afterwards."""
    _plan(checkpoint, rounds=100).write(tmp_path / "plan.json")
    with Child([str(VLLM_PYTHON), "-m", "tokgate.worker", str(tmp_path / "plan.json")]) as worker:
        assert worker.hear_until("round", silence_s=300) is not None
        family = psutil.Process().children(recursive=True)
        _engine(family).suspend()
        with pytest.raises(ChildError, match="it reported nothing for 10 s after its event 'round': it hangs"):
            worker.hear(lambda event: None, silence_s=10)
        assert _gone([process.pid for process in family])


def test_a_setting_that_vllm_does_not_know_is_told_in_its_own_words(checkpoint: Path) -> None:
    with pytest.raises(MeasurementError, match="unexpected keyword argument 'enforce_lazy'"):
        run_launch(_plan(checkpoint, enforce_lazy=True), str(VLLM_PYTHON), lambda scenario: None)


def test_memory_that_does_not_suffice_is_told_with_vllms_own_figures(checkpoint: Path) -> None:
    """vLLM's error points at a cause that stands in the log of another process."""
    environment = {"VLLM_CPU_KVCACHE_SPACE": "100000"}
    with pytest.raises(MeasurementError, match=r"first error in its log: ValueError: .* memory .*\(100000.0 GiB\)"):
        run_launch(_plan(checkpoint, environment=environment), str(VLLM_PYTHON), lambda scenario: None)


def _plan(checkpoint: Path, rounds: int = 1, **settings: Any) -> LaunchPlan:
    return LaunchPlan(
        schema=PLAN_SCHEMA,
        engine="vllm",
        model_dir=str(checkpoint),
        vocab_size=2000,
        settings={
            "dtype": "bfloat16",
            "enforce_eager": True,
            "environment": {"VLLM_CPU_KVCACHE_SPACE": "1"},
            **settings,
        },
        threads=1,
        rounds=rounds,
        repeats=0,
        order_seed=0,
        prompt_seed=0,
        rows=(PlanRow("row", 1, 5, 50),),
        measure_peaks=False,
        silence_s=150.0,
    )


def _engine(family: Sequence[psutil.Process]) -> psutil.Process:
    """vLLM's own process, of all that the tests' process has started."""
    (engine,) = [process for process in family if process.ppid() != os.getpid() and "Engine" in _title(process)]
    return engine


def _gone(pids: Sequence[int]) -> bool:
    """Now, or within some seconds."""
    deadline_s = time.monotonic() + 20
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return not any(map(psutil.pid_exists, pids))


def _title(process: psutil.Process) -> str:
    return " ".join([process.name(), *process.cmdline()])
